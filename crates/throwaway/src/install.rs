use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the programs of a PostgreSQL installation are.
#[derive(Clone, Debug)]
pub(crate) struct Install {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) psql: PathBuf,
}

/// Names the folder to use, instead of looking for one.
const OVERRIDE: &str = "BAILIWICK_PG_BIN";

/// Where Debian's packages put each major version, out of `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A program is missing.
#[derive(Debug, thiserror::Error)]
pub enum NotInstalled {
    /// No server anywhere.
    #[error(
        "no PostgreSQL server is installed: neither PATH nor {DEBIAN}/*/bin has `initdb` and \
         `postgres`. On Debian or Ubuntu: apt-get install postgresql postgresql-client. Elsewhere \
         install PostgreSQL and set {OVERRIDE} to the folder of its programs"
    )]
    Server,
    /// The folder named by the caller has none.
    #[error("there is no `initdb` and `postgres` in {0}, which {OVERRIDE} or the caller names")]
    Override(PathBuf),
    /// No client.
    #[error("no `psql` is installed. On Debian or Ubuntu: apt-get install postgresql-client")]
    Client,
}

impl Install {
    /// The folder that the caller or `BAILIWICK_PG_BIN` names, or the first in `PATH` with a server, or
    /// the newest of Debian's.
    pub(crate) fn find(named: Option<&Path>) -> Result<Self, NotInstalled> {
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path: Vec<PathBuf> = env::split_paths(&path).collect();
        let named = named.map(Path::to_owned);
        let bin = match named.or_else(|| env::var_os(OVERRIDE).map(PathBuf::from)) {
            Some(bin) => {
                if !has_server(&bin) {
                    return Err(NotInstalled::Override(bin));
                }
                bin
            }
            None => in_path
                .iter()
                .find(|bin| has_server(bin))
                .cloned()
                .or_else(|| newest(Path::new(DEBIAN)))
                .ok_or(NotInstalled::Server)?,
        };
        let psql = [&bin]
            .into_iter()
            .chain(&in_path)
            .cloned()
            .chain(newest(Path::new(DEBIAN)))
            .map(|bin| bin.join("psql"))
            .find(|psql| psql.is_file())
            .ok_or(NotInstalled::Client)?;
        Ok(Self {
            initdb: bin.join("initdb"),
            postgres: bin.join("postgres"),
            psql,
        })
    }

    /// Copies the server's installation where another user than ourselves cannot reach it, as when it
    /// is in somebody's home.
    pub(crate) fn within_reach(&mut self, copy: &Path) -> io::Result<()> {
        let Some(bin) = self.postgres.parent().filter(|bin| !for_everybody(bin)) else {
            return Ok(());
        };
        let root = bin.parent().unwrap_or(bin).to_owned();
        copy_folder(&root, copy)?;
        for program in [&mut self.initdb, &mut self.postgres] {
            if let Ok(path) = program.strip_prefix(&root) {
                *program = copy.join(path);
            }
        }
        Ok(())
    }
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// Whether everybody may go there and look.
fn for_everybody(folder: &Path) -> bool {
    const READ_AND_SEARCH: u32 = 0o005;
    folder.canonicalize().is_ok_and(|folder| {
        let open = |folder: &Path| {
            let mode = fs::metadata(folder).map(|metadata| metadata.mode());
            mode.is_ok_and(|mode| mode & READ_AND_SEARCH == READ_AND_SEARCH)
        };
        folder.ancestors().all(open)
    })
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let from = entry?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            // What a link leads to.
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// The `bin` folder of the highest version that has a server.
fn newest(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| has_server(bin))
        .max()
        .map(|(_, bin)| bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_cannot_reach_is_copied() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let root = home.path().join("pg");
        for part in ["bin", "lib"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        for file in ["bin/initdb", "bin/postgres", "lib/a"] {
            fs::write(root.join(file), file).unwrap();
        }
        std::os::unix::fs::symlink("a", root.join("lib/b")).unwrap();
        let install = || Install {
            initdb: root.join("bin/initdb"),
            postgres: root.join("bin/postgres"),
            psql: "psql".into(),
        };
        let copy = tempfile::tempdir().unwrap();
        let copy = copy.path().join("copy");
        let mut copied = install();
        copied.within_reach(&copy).unwrap();
        assert_eq!(copied.postgres, copy.join("bin/postgres"));
        assert_eq!(fs::read_to_string(&copied.initdb).unwrap(), "bin/initdb");
        assert_eq!(fs::read_to_string(copy.join("lib/b")).unwrap(), "lib/a");
        assert!(for_everybody(Path::new("/usr/bin")));
    }

    #[test]
    fn the_newest_version_with_a_server_is_taken_by_number() {
        let folder = tempfile::tempdir().unwrap();
        for (version, programs) in [
            ("9", &["initdb", "postgres"][..]),
            ("15", &["initdb", "postgres"]),
            ("18", &["psql"]),
            ("notes", &["initdb", "postgres"]),
        ] {
            let bin = folder.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            for program in programs {
                fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
        assert_eq!(newest(&folder.path().join("absent")), None);
    }
}
