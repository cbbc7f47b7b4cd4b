/* A disk on which things go wrong, for a program that is started with LD_PRELOAD of this.
 *
 * SHIM_FOLDER is the folder that it is about, SHIM_STATE one for what a test says and reads:
 *   full    while this file is there, nothing more can be written (ENOSPC)
 *   broken  while this file is there, nothing reaches the disk (EIO from fsync)
 *   synced/INODE  what the disk has of a file since its last fsync
 *   names   "INODE NAME" for each name that the disk has
 * A name is on the disk when its file was synced under it, or when the folder was ("0 " stands
 * before all of its names then); and until the folder is synced without it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char *state(const char *name, char *path) {
    snprintf(path, 4096, "%s/%s", getenv("SHIM_STATE"), name);
    return path;
}

static int is_there(const char *name) {
    char path[4096];
    return access(state(name, path), F_OK) == 0;
}

/* The path of a descriptor below the folder; NULL for any other. */
static const char *ours(int fd, char *path) {
    char link[64];
    const char *folder = getenv("SHIM_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, 4095);
    if (size < 0 || !folder || !getenv("SHIM_STATE")) return NULL;
    path[size] = 0;
    return strncmp(path, folder, strlen(folder)) == 0 ? path : NULL;
}

static void keep_name(ino_t inode, const char *name) {
    char path[4096], line[4200];
    int fd = open(state("names", path), O_WRONLY | O_APPEND | O_CREAT, 0600);
    int size = snprintf(line, sizeof line, "%lu %s\n", (unsigned long)inode, name);
    if (write(fd, line, size) != size) abort();
    close(fd);
}

static void keep_file(int fd, const char *name) {
    char unfinished[4096], kept[4096], buffer[65536];
    struct stat found;
    fstat(fd, &found);
    snprintf(unfinished, sizeof unfinished, "%s/synced/%lu.%d.tmp", getenv("SHIM_STATE"),
             (unsigned long)found.st_ino, (int)getpid());
    snprintf(kept, sizeof kept, "%s/synced/%lu", getenv("SHIM_STATE"), (unsigned long)found.st_ino);
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = open(link, O_RDONLY), to = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (ssize_t size; (size = read(from, buffer, sizeof buffer)) > 0;)
        if (write(to, buffer, size) != size) abort();
    close(from);
    close(to);
    rename(unfinished, kept);
    keep_name(found.st_ino, name);
}

static void keep_names(const char *folder) {
    keep_name(0, "");
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_type == DT_REG) keep_name(entry->d_ino, entry->d_name);
    closedir(listing);
}

static int synced(int fd, int (*next)(int)) {
    char path[4096];
    if (!ours(fd, path)) return next(fd);
    if (is_there("broken")) {
        errno = EIO;
        return -1;
    }
    struct stat found;
    fstat(fd, &found);
    if (S_ISDIR(found.st_mode))
        keep_names(path);
    else
        keep_file(fd, strrchr(path, '/') + 1);
    return next(fd);
}

int fsync(int fd) { return synced(fd, dlsym(RTLD_NEXT, "fsync")); }
int fdatasync(int fd) { return synced(fd, dlsym(RTLD_NEXT, "fdatasync")); }

static int has_no_room(int fd) {
    char path[4096];
    if (!ours(fd, path) || !is_there("full")) return 0;
    errno = ENOSPC;
    return 1;
}

#define WRITES(name, type)                                                            \
    ssize_t name(int fd, const void *data, size_t size, type offset) {                \
        ssize_t (*next)(int, const void *, size_t, type) = dlsym(RTLD_NEXT, #name);   \
        return has_no_room(fd) ? -1 : next(fd, data, size, offset);                   \
    }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return has_no_room(fd) ? -1 : next(fd, data, size);
}

#define GROWS(name, type)                                            \
    int name(int fd, type size) {                                    \
        int (*next)(int, type) = dlsym(RTLD_NEXT, #name);            \
        return size > 0 && has_no_room(fd) ? -1 : next(fd, size);    \
    }
GROWS(ftruncate, off_t)
GROWS(ftruncate64, off64_t)
