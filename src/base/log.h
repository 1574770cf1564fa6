/* log.h: chatter for people, on stderr. Results never go through here. */
#ifndef MLD_BASE_LOG_H
#define MLD_BASE_LOG_H

#include "mldyno/error.h"

#include <stdbool.h>

enum mld_log_level { MLD_LOG_ERROR, MLD_LOG_WARN, MLD_LOG_INFO, MLD_LOG_DEBUG };

void mld_log_set_level(enum mld_log_level level); /* default INFO; -q WARN, -v DEBUG */
enum mld_log_level mld_log_level(void);
void mld_log_set_color(bool on); /* default: stderr is a terminal and NO_COLOR unset */
bool mld_log_color(void);
void mld_log(enum mld_log_level level, const char *format, ...) MLD_PRINTF(2, 3);

bool mld_log_is_terminal(void); /* stderr is one */

/* One status line that is rewritten in place on a terminal (and cleared by the next
 * message); on anything else each *different* line is printed once. "" clears it. */
void mld_log_progress(const char *format, ...) MLD_PRINTF(1, 2);

#endif
