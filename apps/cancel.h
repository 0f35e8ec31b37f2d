// Ctrl-C, SIGTERM and SIGHUP ask for an orderly stop: the work in hand is abandoned, temporaries are removed,
// exit code 130. A second signal ends the process at once.
#pragma once

namespace ups::apps {

void install_cancel_handler();
bool cancelled();
void throw_if_cancelled();  // Failure(kCancelled)

}  // namespace ups::apps
