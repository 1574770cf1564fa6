/* runner.c: the parent's side of a case. Starts the worker, sleeps in poll() while it
 * works, and turns whatever happens to it into a status and a reason. */
#include "core/runner_int.h"

#include "base/alloc.h"
#include "core/proc_status.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MLD_RUNNER_TICK_MS  250         /* how often the cancel flag is looked at */
#define MLD_RUNNER_GRACE_NS 5000000000u /* for a worker that has told all, to end */

/* --- pipes ------------------------------------------------------------------------ */

static void runner_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* write() without the SIGPIPE of a worker that is gone: blocked here, and taken off the
 * list if this write raised it. */
static ssize_t runner_write(int fd, const void *data, size_t n)
{
    sigset_t pipe_set, old, pending;
    const struct timespec now = {0, 0};
    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    (void)sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    ssize_t done = write(fd, data, n);
    int error = errno;
    if (done < 0 && error == EPIPE && !was_pending)
        while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
            continue;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return done;
}

/* Sends what the pipe takes of the case; a worker that reads no more shows elsewhere. */
static void runner_send_case(struct runner *r)
{
    ssize_t n = runner_write(r->process.in_fd, r->text + r->text_sent,
                             r->text_size - r->text_sent);
    if (n > 0)
        r->text_sent += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || r->text_sent == r->text_size)
        runner_close(&r->process.in_fd);
}

static void runner_read_tail(struct runner *r)
{
    char piece[MLD_RUNNER_TAIL];
    ssize_t n = read(r->process.err_fd, piece, sizeof(piece));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        runner_close(&r->process.err_fd);
    for (ssize_t i = 0; i < n; i++)
        r->tail[r->tail_total++ % MLD_RUNNER_TAIL] = piece[i];
}

/* False once the events have ended or make no sense. Half an event at the end needs no
 * word of its own: the worker died in it, and that is said. */
static bool runner_read_events(struct runner *r)
{
    char piece[65536];
    ssize_t n = read(r->process.out_fd, piece, sizeof(piece));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0) {
        runner_close(&r->process.out_fd);
        return false;
    }
    struct mld_event e;
    int more = mld_event_feed(&r->reader, piece, (size_t)n, &r->error);
    while (more >= 0 && (more = mld_event_next(&r->reader, &e, &r->error)) > 0) {
        int rc = mld_runner_take(r, &e);
        more = rc != 0 ? rc : more;
        if (more < 0)
            break;
    }
    r->broken = r->broken || more < 0;
    return !r->broken;
}

/* --- the wait --------------------------------------------------------------------- */

/* Milliseconds to sleep until the deadline, at most a tick; UINT64_MAX: no deadline. */
static int runner_patience(uint64_t now_ns, uint64_t deadline_ns)
{
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (deadline_ns - now_ns) / 1000000u + 1;
    return ms < MLD_RUNNER_TICK_MS ? (int)ms : MLD_RUNNER_TICK_MS;
}

/* One sleep and what it brought. False when there is nothing more to wait for. */
static bool runner_step(struct runner *r, uint64_t deadline_ns)
{
    struct mld_process *p = &r->process;
    struct pollfd fds[3] = {
        {.fd = p->out_fd, .events = POLLIN},
        {.fd = p->err_fd, .events = POLLIN},
        {.fd = p->in_fd, .events = POLLOUT},
    };
    uint64_t now = mld_now_ns(r->clock);
    int n = poll(fds, 3, runner_patience(now, deadline_ns));
    if (n > 0 && fds[2].revents)
        runner_send_case(r);
    if (n > 0 && fds[1].revents)
        runner_read_tail(r);
    if (n > 0 && fds[0].revents && !runner_read_events(r))
        return false;
    if (r->params->cancel && *r->params->cancel) {
        r->cancelled = true;
        return false;
    }
    if (mld_now_ns(r->clock) >= deadline_ns) {
        r->timed_out = true;
        return false;
    }
    /* A child of the engine may hold the pipes open after the worker has died. */
    return !r->done && !r->failed && (n > 0 || !mld_process_poll(p));
}

static void runner_nonblocking(int fd)
{
    if (fd >= 0)
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Lets a worker that has told all close its engine, then ends whatever still runs, and
 * reads what is left in the pipes. */
static void runner_settle(struct runner *r)
{
    bool wait = (r->done || r->failed) && !r->broken && !r->cancelled && !r->timed_out;
    /* Without the event pipe a worker that died is about to become a zombie. */
    wait = wait || r->process.out_fd < 0;
    uint64_t deadline = mld_now_ns(r->clock) + MLD_RUNNER_GRACE_NS;
    while (wait && !mld_process_poll(&r->process) && mld_now_ns(r->clock) < deadline) {
        struct pollfd fds[2] = {{.fd = r->process.out_fd, .events = POLLIN},
                                {.fd = r->process.err_fd, .events = POLLIN}};
        int n = poll(fds, 2, 10);
        if (n > 0 && fds[0].revents && !runner_read_events(r))
            runner_close(&r->process.out_fd);
        if (n > 0 && fds[1].revents)
            runner_read_tail(r);
    }
    mld_process_kill(&r->process);
    while (r->process.out_fd >= 0 && !r->broken && !r->cancelled &&
           runner_read_events(r)) {
        struct pollfd fd = {.fd = r->process.out_fd, .events = POLLIN};
        if (poll(&fd, 1, 0) <= 0)
            break;
    }
    struct pollfd fd = {.fd = r->process.err_fd, .events = POLLIN};
    while (fd.fd >= 0 && poll(&fd, 1, 0) > 0) {
        runner_read_tail(r);
        fd.fd = r->process.err_fd;
    }
}

/* --- the verdict ------------------------------------------------------------------ */

/* Last line with something on it that the engine printed, made printable. */
static void runner_last_words(const struct runner *r, char *out, size_t cap)
{
    size_t have = r->tail_total < MLD_RUNNER_TAIL ? r->tail_total : MLD_RUNNER_TAIL;
    size_t end = r->tail_total, first = r->tail_total - have;
    while (end > first && isspace((unsigned char)r->tail[(end - 1) % MLD_RUNNER_TAIL]))
        end--;
    size_t begin = end;
    while (begin > first && r->tail[(begin - 1) % MLD_RUNNER_TAIL] != '\n')
        begin--;
    size_t n = end - begin < cap - 1 ? end - begin : cap - 1;
    for (size_t i = 0; i < n; i++) {
        char c = r->tail[(begin + i) % MLD_RUNNER_TAIL];
        out[i] = iscntrl((unsigned char)c) ? ' ' : c;
    }
    out[n] = '\0';
}

/* Whether a text is an engine's way to say that memory ran out. */
static bool runner_tells_oom(const char *text)
{
    static const char *const words[] = {
        "bad_alloc",
        "bad allocation",
        "out of memory",
        "Out of memory",
        "Cannot allocate memory",
        "Failed to allocate memory",
        "OUT_OF_MEMORY",
        "OutOfMemory",
        "not enough memory",
        "failed to map segment", /* the dynamic loader's */
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

static void runner_set(struct runner *r, enum mld_status status, const char *format, ...)
    MLD_PRINTF(3, 4);
static void runner_set(struct runner *r, enum mld_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    r->out->status = status;
    vsnprintf(r->out->reason, sizeof(r->out->reason), format, args);
    va_end(args);
}

/* " in phase 'load'"; "" before the first phase. */
static const char *runner_where(const struct runner *r, char buf[48])
{
    buf[0] = '\0';
    if (r->phase >= 0)
        snprintf(buf, 48, " in phase '%s'", mld_phase_name((enum mld_phase)r->phase));
    return buf;
}

/* What the memory limit adds to a reason. */
static const char *runner_limit(const struct runner *r, char buf[64])
{
    buf[0] = '\0';
    if (r->c->memory_limit_bytes > 0)
        snprintf(buf, 64, " (limit: %llu MiB)",
                 (unsigned long long)(r->c->memory_limit_bytes >> 20));
    return buf;
}

static void runner_judge_error(struct runner *r)
{
    char limit[64];
    const char *message = r->error.message;
    switch (r->error.code) {
    case MLD_E_UNSUPPORTED:
        runner_set(r, MLD_STATUS_UNSUPPORTED, "%s", message);
        return;
    case MLD_E_NO_MEMORY:
    case MLD_E_DEVICE_MEMORY:
        runner_set(r, MLD_STATUS_OUT_OF_MEMORY, "%s%s", message, runner_limit(r, limit));
        return;
    case MLD_E_TIMEOUT:
        runner_set(r, MLD_STATUS_TIMED_OUT, "%s", message);
        return;
    case MLD_E_CANCELLED:
        runner_set(r, MLD_STATUS_CANCELLED, "%s", message);
        return;
    default:
        if (runner_tells_oom(message))
            runner_set(r, MLD_STATUS_OUT_OF_MEMORY, "%s%s", message,
                       runner_limit(r, limit));
        else
            runner_set(r, MLD_STATUS_FAILED, "%s", message);
    }
}

/* The worker ended without telling all. */
static void runner_judge_death(struct runner *r)
{
    const struct mld_process *p = &r->process;
    char how[96], words[256], where[48], limit[64];
    mld_process_outcome(p, how, sizeof(how));
    runner_last_words(r, words, sizeof(words));
    const char *colon = words[0] ? ": " : "";
    bool killed = WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGKILL;
    if (killed && r->oom_kills >= 0 && mld_proc_oom_kills() > r->oom_kills)
        runner_set(r, MLD_STATUS_OUT_OF_MEMORY,
                   "the kernel killed the worker%s: the machine's memory ran out",
                   runner_where(r, where));
    else if (runner_tells_oom(words))
        runner_set(r, MLD_STATUS_OUT_OF_MEMORY, "worker %s%s: %s%s", how,
                   runner_where(r, where), words, runner_limit(r, limit));
    else
        runner_set(r, MLD_STATUS_FAILED, "worker %s%s%s%s", how, runner_where(r, where),
                   colon, words);
}

/* Everything was told: the summary of the steady part. */
static void runner_judge_done(struct runner *r)
{
    struct mld_result *out = r->out;
    out->status = MLD_STATUS_OK;
    if (r->c->task != MLD_TASK_MEASURE)
        return;
    size_t steady = out->sample_count - out->warmup_count;
    if (steady > 0 && mld_summarize(out->samples_ns + out->warmup_count, steady,
                                    &out->summary, &r->error) != 0) {
        runner_set(r, MLD_STATUS_OUT_OF_MEMORY, "%s", r->error.message);
        return;
    }
    uint64_t sum[2] = {0, 0};
    for (size_t i = 0; i < out->sample_count; i++)
        sum[i >= out->warmup_count] += out->samples_ns[i];
    out->phase_ns[MLD_PHASE_WARMUP] = (int64_t)sum[0];
    out->phase_ns[MLD_PHASE_STEADY] = (int64_t)sum[1];
    if (!r->steady)
        out->status = MLD_STATUS_MISTRUSTED; /* the reason came with the timing */
}

static void runner_judge(struct runner *r)
{
    char where[48], how[96];
    if (r->cancelled && !r->done)
        runner_set(r, MLD_STATUS_CANCELLED, "stopped by the user");
    else if (r->timed_out && !r->done)
        runner_set(r, MLD_STATUS_TIMED_OUT, "no result within %.3g s: ended%s",
                   (double)r->c->budget.timeout_ns * 1e-9, runner_where(r, where));
    else if (r->broken && r->error.code == MLD_E_NO_MEMORY)
        runner_set(r, MLD_STATUS_OUT_OF_MEMORY, "%s", r->error.message);
    else if (r->broken)
        runner_set(r, MLD_STATUS_FAILED, "%s", r->error.message);
    else if (r->failed)
        runner_judge_error(r);
    else if (!r->done)
        runner_judge_death(r);
    else
        runner_judge_done(r);
    /* Told all, then died while closing: the numbers stand, the death is noted. */
    if (r->out->status == MLD_STATUS_OK && r->process.reaped && r->process.status != 0)
        snprintf(r->out->reason, sizeof(r->out->reason),
                 "measured; then, closing the engine, worker %s",
                 mld_process_outcome(&r->process, how, sizeof(how)));
}

static int runner_start(struct runner *r)
{
    struct mld_json *v = mld_case_to_json(r->c);
    r->text = v ? mld_json_print(v, false) : NULL;
    mld_json_free(v);
    if (!r->text)
        return mld_error_set(&r->error, MLD_E_NO_MEMORY, "no memory to write the case");
    r->text_size = strlen(r->text);
    const char *const argv[] = {r->params->worker_path, "--worker", NULL};
    const struct mld_process_params params = {
        .argv = argv,
        .capture_stderr = true,
        .pipe_stdin = true,
        .data_limit_bytes = r->c->memory_limit_bytes,
    };
    MLD_TRY(mld_process_start(&params, &r->process, &r->error));
    runner_nonblocking(r->process.in_fd);
    runner_nonblocking(r->process.out_fd);
    runner_nonblocking(r->process.err_fd);
    return 0;
}

void mld_run_case(const struct mld_case *c, const struct mld_run_params *params,
                  struct mld_result *out)
{
    struct runner r = {.c = c, .params = params, .out = out, .phase = -1};
    mld_result_init(out);
    r.clock = mld_clock_real();
    r.oom_kills = mld_proc_oom_kills();
    uint64_t start = mld_now_ns(r.clock), deadline = start + c->budget.timeout_ns;
    if (c->budget.timeout_ns == 0 || deadline < start)
        deadline = UINT64_MAX;
    if (runner_start(&r) != 0) {
        runner_judge_error(&r);
    } else {
        while (runner_step(&r, deadline))
            continue;
        runner_settle(&r);
        runner_judge(&r);
    }
    mld_process_release(&r.process);
    mld_event_reader_release(&r.reader);
    mld_free(r.output_raw);
    mld_free(r.text);
}
