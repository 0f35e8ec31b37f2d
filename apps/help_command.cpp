// `upscale help` and `upscale completions`.
#include <cstdio>

#include "apps/command_list.h"
#include "apps/failure.h"
#include "apps/help.h"
#include "apps/nearest_name.h"
#include "apps/options/option.h"

namespace ups::apps {

const SmallSyntax& help_syntax() {
  static const SmallSyntax syntax = {"help",
                                     "[TOPIC]",
                                     "about an option or a command; --man prints the manual page",
                                     {{"--man", "", "the manual page in troff"}},
                                     0,
                                     1};
  return syntax;
}

namespace {

std::string hint_for(const std::string& topic) {
  std::vector<std::string> known;
  for (const Command& c : commands()) known.push_back(c.syntax().command);
  for (const Option& o : option_table().options)
    if (o.level != Level::unlisted) known.push_back(long_name(o).substr(2));
  const std::string meant = nearest_name(topic, known);
  return meant.empty() ? " (see upscale --help-all)" : ", did you mean " + meant + "?";
}

}  // namespace

int help_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  // `upscale help -m`, where parsing would look for an option of help itself.
  const bool option = arguments.size() == 1 && arguments[0].size() > 1 && arguments[0][0] == '-';
  if (option && !help_about(arguments[0]).empty())
    a.positional = arguments;
  else if (!parse_small(help_syntax(), arguments, a))
    return kOk;
  std::string text;
  if (a.flag("--man"))
    text = manual_page();
  else if (a.positional.empty())
    text = help_text(false);
  else if (text = help_about(a.positional[0]); text.empty())
    fail(kUsage, "help: there is no option or command ", a.positional[0], hint_for(a.positional[0]));
  fputs(text.c_str(), stdout);
  return kOk;
}

const SmallSyntax& completions_syntax() {
  static const SmallSyntax syntax = {
      "completions",
      "bash|zsh",
      "a completion script for a shell",
      {},
      1,
      1,
      "For bash: upscale completions bash > ~/.local/share/bash-completion/completions/upscale\n"
      "For zsh: write it to a file named _upscale in a folder of $fpath.\n"};
  return syntax;
}

int completions_command(const std::vector<std::string>& arguments) {
  SmallArguments a;
  if (!parse_small(completions_syntax(), arguments, a)) return kOk;
  const std::string& shell = a.positional[0];
  if (shell != "bash" && shell != "zsh") fail(kUsage, "completions: got '", shell, "', expected bash or zsh");
  fputs((shell == "bash" ? bash_completions() : zsh_completions()).c_str(), stdout);
  return kOk;
}

}  // namespace ups::apps
