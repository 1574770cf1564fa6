/* app_worker.c: lets the program's main reach the core's worker. */
#include "app/worker.h"

#include "core/runner.h"

int mld_app_worker(void)
{
    return mld_worker_main();
}
