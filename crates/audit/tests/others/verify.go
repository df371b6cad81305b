// Verifies a published log with nothing but Go's own packages for transparent logs, those behind
// its checksum database: golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog.
//
//	verify LOG.VKEY LOG-FOLDER [CHECKPOINT...]
//
// Checks that the key has signed LOG-FOLDER/checkpoint and every CHECKPOINT, that every record is in
// the tree of LOG-FOLDER/checkpoint, and that each two of the checkpoints are of one tree as it grew.
// Prints what was checked, or the first thing that is broken and exits with 1.
//
// Every proof is made of hashes that tlog.TileHashReader took from tiles, and is checked against the
// signed roots. Both count: the reader of x/mod 0.7.0 does not check some of the full tiles itself,
// where several subtrees of the root are in one tile.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verify LOG.VKEY LOG-FOLDER [CHECKPOINT...]")
		os.Exit(2)
	}
	if err := verify(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "broken:", err)
		os.Exit(1)
	}
}

func verify(vkey, folder string, kept []string) error {
	key, err := readKey(vkey)
	if err != nil {
		return fmt.Errorf("key %s: %w", vkey, err)
	}
	newest, err := readCheckpoint(key, filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	checkpoints := []checkpoint{newest}
	for _, file := range kept {
		older, err := readCheckpoint(key, file)
		if err != nil {
			return err
		}
		checkpoints = append(checkpoints, older)
	}
	for first := int64(0); first < newest.tree.N; first += width {
		if err := checkBundle(folder, newest.tree, first); err != nil {
			return err
		}
	}
	pairs, err := checkGrowth(folder, checkpoints)
	if err != nil {
		return err
	}
	fmt.Printf("records %d\ncheckpoints %d\npairs %d\n", newest.tree.N, len(checkpoints), pairs)
	return nil
}

func readKey(file string) (note.Verifier, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(strings.TrimSuffix(string(text), "\n"))
}

// A checkpoint whose signature is right.
type checkpoint struct {
	file string
	tree tlog.Tree
}

func readCheckpoint(key note.Verifier, file string) (checkpoint, error) {
	tree, err := openCheckpoint(key, file)
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint %s: %w", file, err)
	}
	return checkpoint{file, tree}, nil
}

func openCheckpoint(key note.Verifier, file string) (tlog.Tree, error) {
	message, err := os.ReadFile(file)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(message, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, err
	}
	// tlog.ParseTree knows only the first line of Go's own database.
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != key.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("its size is not a number")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, errors.New("its root is not a hash")
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

// Proves that each record of one bundle is in the tree.
func checkBundle(folder string, tree tlog.Tree, first int64) error {
	records, err := readBundle(folder, tree, first)
	if err != nil {
		return err
	}
	hashes, err := hashesForProofs(folder, tree, first, len(records))
	if err != nil {
		return fmt.Errorf("tiles for the records from %d: %w", first, err)
	}
	for position, record := range records {
		index := first + int64(position)
		proof, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(record)); err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
	}
	return nil
}

// The hashes that the proofs of a bundle's records are made of, read once for all of them.
func hashesForProofs(folder string, tree tlog.Tree, first int64, count int) (tlog.HashReader, error) {
	known := map[int64]tlog.Hash{}
	asked := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		for _, index := range indexes {
			known[index] = tlog.Hash{}
		}
		return make([]tlog.Hash, len(indexes)), nil
	})
	for index := first; index < first+int64(count); index++ {
		if _, err := tlog.ProveRecord(tree.N, index, asked); err != nil {
			return nil, err
		}
	}
	indexes := make([]int64, 0, len(known))
	for index := range known {
		indexes = append(indexes, index)
	}
	sort.Slice(indexes, func(i, j int) bool { return indexes[i] < indexes[j] })
	hashes, err := tlog.TileHashReader(tree, tiles{folder}).ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for position, index := range indexes {
		known[index] = hashes[position]
	}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for position, index := range indexes {
			hashes[position] = known[index]
		}
		return hashes, nil
	}), nil
}

// Proves for each two checkpoints that the larger tree begins with the smaller one.
func checkGrowth(folder string, checkpoints []checkpoint) (pairs int, err error) {
	sort.SliceStable(checkpoints, func(i, j int) bool {
		return checkpoints[i].tree.N < checkpoints[j].tree.N
	})
	for position, newer := range checkpoints {
		for _, older := range checkpoints[:position] {
			if err := checkPair(folder, older.tree, newer.tree); err != nil {
				return 0, fmt.Errorf("from %s to %s: %w", older.file, newer.file, err)
			}
			pairs++
		}
	}
	return pairs, nil
}

func checkPair(folder string, older, newer tlog.Tree) error {
	if older.N == 0 {
		// Every tree begins with the empty one, of which Go has no proofs.
		return nil
	}
	proof, err := tlog.ProveTree(newer.N, older.N, tlog.TileHashReader(newer, tiles{folder}))
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash)
}

func readBundle(folder string, tree tlog.Tree, first int64) ([][]byte, error) {
	tile := tlog.Tile{H: height, L: -1, N: first / width, W: width}
	if left := tree.N - first; left < width {
		tile.W = int(left)
	}
	path, content, err := readTile(folder, tile)
	if err != nil {
		return nil, err
	}
	records := make([][]byte, 0, tile.W)
	for len(records) < tile.W {
		if len(content) < 2 || len(content)-2 < int(binary.BigEndian.Uint16(content)) {
			return nil, fmt.Errorf("bundle %s: it ends before record %d", path, first+int64(len(records)))
		}
		end := 2 + int(binary.BigEndian.Uint16(content))
		records = append(records, content[2:end])
		content = content[end:]
	}
	if tile.W == width && len(content) > 0 {
		return nil, fmt.Errorf("bundle %s: %d bytes follow its last record", path, len(content))
	}
	return records, nil
}

// The tiles in a folder, for tlog.TileHashReader.
type tiles struct{ folder string }

func (tiles) Height() int { return height }

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, 0, len(wanted))
	for _, tile := range wanted {
		path, content, err := readTile(t.folder, tile)
		if err != nil {
			return nil, err
		}
		length := tile.W * tlog.HashSize
		if len(content) < length || tile.W == width && len(content) > length {
			return nil, fmt.Errorf("tile %s has %d bytes", path, len(content))
		}
		found = append(found, content[:length])
	}
	return found, nil
}

// Reads a tile or a bundle. One that was not full when the checkpoint was made may be full by now;
// then what was in it is the beginning of what is.
func readTile(folder string, tile tlog.Tile) (path string, content []byte, err error) {
	path = pathOf(tile)
	content, err = os.ReadFile(filepath.Join(folder, path))
	if errors.Is(err, fs.ErrNotExist) && tile.W < width {
		tile.W = width
		path = pathOf(tile)
		content, err = os.ReadFile(filepath.Join(folder, path))
	}
	return path, content, err
}

// Go's paths name the height, and entries are its own kind, "data".
func pathOf(tile tlog.Tile) string {
	path := tile.Path()
	if entries := strings.TrimPrefix(path, "tile/8/data/"); entries != path {
		return "tile/entries/" + entries
	}
	return "tile/" + strings.TrimPrefix(path, "tile/8/")
}
