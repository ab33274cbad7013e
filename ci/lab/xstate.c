/* Preloaded into User-Mode Linux on processors with AMX.
 *
 * The guest's kernel saves 2 696 octets of a process's extended processor state, but the host accepts only a complete
 * state, which has 11 008 octets with AMX. Without this library the guest's first process fails with "Bad address", and the
 * guest with it. The part that the guest does not save are the AMX tiles. No process in the guest can have requested them,
 * so they are in their initial state, and the header's bits say so.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    MOST = 1 << 16,             /* largest state of any processor, in octets */
    HEADER = 512,               /* offset of the bits of components that are not in their initial state */
};
static const uint64_t TILES = (uint64_t)3 << 17;

static long (*host_ptrace)(int request, ...);
static unsigned char state[MOST] __attribute__((aligned(64))); /* static: only one thread traces, and its stack is too small */
static size_t whole;

/* The length of a complete state of the host. */
static size_t length_of_whole(pid_t pid)
{
    struct iovec all = {state, MOST};
    if (host_ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all) < 0)
        return 0;
    memset(state, 0, MOST);
    return all.iov_len;
}

static long set_state(pid_t pid, const struct iovec *part)
{
    struct iovec all = {state, whole};
    uint64_t components;
    memcpy(state, part->iov_base, part->iov_len);
    memcpy(&components, state + HEADER, sizeof components);
    components &= ~TILES;
    memcpy(state + HEADER, &components, sizeof components);
    return host_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list given;
    va_start(given, request);
    pid_t pid = va_arg(given, pid_t);
    void *address = va_arg(given, void *);
    void *data = va_arg(given, void *);
    va_end(given);
    if (host_ptrace == NULL)
        host_ptrace = (long (*)(int, ...))dlsym(RTLD_NEXT, "ptrace");
    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
        const struct iovec *part = data;
        if (whole == 0)
            whole = length_of_whole(pid);
        if (part->iov_len > HEADER + sizeof(uint64_t) && part->iov_len < whole)
            return set_state(pid, part);
    }
    return host_ptrace(request, pid, address, data);
}
