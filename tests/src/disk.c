/* Loaded before the C library into the gateway under test: writes and syncs of its write-ahead log
   do what the file named by BAILIWICK_TEST_DISK says, one word and one number:

     well 0      nothing else than always
     slow N      each sync takes N milliseconds
     unsynced 0  syncs fail, as on a drive that is gone
     unwritten 0 writes fail likewise
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_of_the_log(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 4) return 0;
    path[length] = 0;
    return strcmp(path + length - 4, ".wal") == 0;
}

/* Whether the word is the one that stands there; with its number. */
static int is_told(const char *word, long *number) {
    const char *name = getenv("BAILIWICK_TEST_DISK");
    FILE *file = name ? fopen(name, "re") : NULL;
    char there[16] = "";
    if (!file) return 0;
    int read = fscanf(file, "%15s %ld", there, number);
    fclose(file);
    return read == 2 && strcmp(there, word) == 0;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    long number;
    if (is_of_the_log(fd)) {
        if (is_told("unsynced", &number)) {
            errno = EIO;
            return -1;
        }
        if (is_told("slow", &number)) {
            struct timespec time = {number / 1000, number % 1000 * 1000000};
            nanosleep(&time, NULL);
        }
    }
    return real(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    long number;
    if (is_of_the_log(fd) && is_told("unwritten", &number)) {
        errno = EIO;
        return -1;
    }
    return real(fd, bytes, count, offset);
}
