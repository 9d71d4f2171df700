/*
 * Preloaded into the command: kills it, as kill -9 would, right before the KILL_AT-th call that may change the folder
 * KILL_FOLDER, which is the current one. Calls are those of the C library, and syscall(2) where one goes past it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls;

static void step(void) {
  const char *at = getenv("KILL_AT");
  if (at != NULL && ++calls == atoi(at)) raise(SIGKILL);
}

/* Whether a file lies in the folder, with a name or without. */
static int is_there(int fd) {
  struct stat file, folder;
  const char *path = getenv("KILL_FOLDER");
  return path != NULL && fstat(fd, &file) == 0 && stat(path, &folder) == 0 && file.st_dev == folder.st_dev &&
         S_ISREG(file.st_mode);
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t len) {
  if (is_there(fd)) step();
  return REAL(ssize_t, "write", int, const void *, size_t)(fd, bytes, len);
}

int fsync(int fd) {
  struct stat file;
  /* As on a file system whose folders cannot be synced. */
  if (getenv("NO_FOLDER_SYNC") != NULL && fstat(fd, &file) == 0 && S_ISDIR(file.st_mode)) {
    errno = EINVAL;
    return -1;
  }
  step();
  int result = REAL(int, "fsync", int)(fd);
  step();
  return result;
}

int rename(const char *from, const char *to) {
  step();
  int result = REAL(int, "rename", const char *, const char *)(from, to);
  step();
  return result;
}

int unlink(const char *path) {
  step();
  int result = REAL(int, "unlink", const char *)(path);
  step();
  return result;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  step();
  int result = REAL(int, "linkat", int, const char *, int, const char *, int)(from_folder, from, to_folder, to, flags);
  step();
  return result;
}

int link(const char *from, const char *to) {
  step();
  int result = REAL(int, "link", const char *, const char *)(from, to);
  step();
  return result;
}
