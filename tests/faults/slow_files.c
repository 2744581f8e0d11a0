/* Makes one folder look like a network file system: every operation takes a while, and a file that another process has
 * made is not seen at first, as on a client of NFS that remembers that there was none. For LD_PRELOAD; Linux only.
 *
 * SLOW_FOLDER: absolute path. SLOW_MS: duration of an operation. HIDDEN_MS: how long a new file is not seen; folders are.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 4096
#define ORIGINAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* What this process has made or seen: it must not vanish again. */
static ino_t seen[MOST_FILES];
static int n_seen;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long setting(const char *name)
{
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static int is_slow(int folder, const char *path)
{
    const char *slow = getenv("SLOW_FOLDER");
    char whole[8192], here[4096];
    if (!slow || !path || (path[0] != '/' && folder != AT_FDCWD)) return 0;
    if (path[0] == '/') snprintf(whole, sizeof whole, "%s", path);
    else if (getcwd(here, sizeof here)) snprintf(whole, sizeof whole, "%s/%s", here, path);
    else return 0;
    return strncmp(whole, slow, strlen(slow)) == 0;
}

static void take_a_while(void)
{
    long ms = setting("SLOW_MS");
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static int was_seen(ino_t file, int remember)
{
    int found = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_seen && !found; i++) found = seen[i] == file;
    if (!found && remember && n_seen < MOST_FILES) seen[n_seen++] = file;
    pthread_mutex_unlock(&lock);
    return found;
}

/* Whether the path is a file of another process that is too new. The time of the last change of its inode counts, which
 * for a file that was renamed is when it got its name. */
static int is_hidden(const char *path)
{
    struct stat64 file;
    struct timespec now;
    if (ORIGINAL(lstat64)(path, &file) || !S_ISREG(file.st_mode)) return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    double age_ms = (now.tv_sec - file.st_ctim.tv_sec) * 1e3 + (now.tv_nsec - file.st_ctim.tv_nsec) / 1e6;
    int young = age_ms < setting("HIDDEN_MS");
    return !was_seen(file.st_ino, !young) && young;
}

/* 0 where the operation may go on. */
static int refused(int folder, const char *path)
{
    if (!is_slow(folder, path)) return 0;
    take_a_while();
    if (!is_hidden(path)) return 0;
    errno = ENOENT;
    return -1;
}

static void remember(int folder, const char *path)
{
    struct stat64 file;
    if (is_slow(folder, path) && !ORIGINAL(lstat64)(path, &file)) was_seen(file.st_ino, 1);
}

int stat64(const char *path, struct stat64 *file)
{
    return refused(AT_FDCWD, path) ? -1 : ORIGINAL(stat64)(path, file);
}

int lstat64(const char *path, struct stat64 *file)
{
    return refused(AT_FDCWD, path) ? -1 : ORIGINAL(lstat64)(path, file);
}

int fstatat64(int folder, const char *path, struct stat64 *file, int flags)
{
    return refused(folder, path) ? -1 : ORIGINAL(fstatat64)(folder, path, file, flags);
}

int access(const char *path, int mode)
{
    return refused(AT_FDCWD, path) ? -1 : ORIGINAL(access)(path, mode);
}

/* The server decides about what a process makes or opens for writing: only reading may find nothing. */
static int open_slowly(int folder, const char *path, int flags, mode_t mode)
{
    int making = flags & O_CREAT;
    if (making && is_slow(folder, path)) take_a_while();
    if (!making && refused(folder, path)) return -1;
    int file = ORIGINAL(openat64)(folder, path, flags, mode);
    if (making && file >= 0) remember(folder, path);
    return file;
}

static mode_t mode_of(int flags, va_list rest)
{
    return flags & O_CREAT ? va_arg(rest, mode_t) : 0;
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_slowly(AT_FDCWD, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_slowly(folder, path, flags, mode);
}

int rename(const char *from, const char *to)
{
    if (is_slow(AT_FDCWD, to)) take_a_while();
    int code = ORIGINAL(rename)(from, to);
    if (code == 0) remember(AT_FDCWD, to);
    return code;
}
