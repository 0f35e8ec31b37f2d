// Completion scripts for bash and zsh: option names, values where they are few, aliases of models, files.
#include <string>

#include "apps/commands.h"
#include "apps/help.h"
#include "apps/options/option.h"
#include "apps/store/store.h"

namespace ups::apps {
namespace {

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : between) + w;
  return out;
}

std::vector<std::string> alias_names() {
  std::vector<std::string> names;
  for (const Alias& a : aliases()) names.push_back(a.alias);
  return names;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& c : commands()) names.push_back(c.syntax().command);
  return names;
}

// Inside a zsh '...' specification, where [ ] and : have a meaning too.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const Option& o) {
  if (!o.choices.empty()) return "(" + joined(o.choices, " ") + ")";
  switch (o.completes) {
    case Completes::file:
      return "_files";
    case Completes::folder:
      return "_files -/";
    case Completes::model:
      return "_upscale_models";
    default:
      return " ";
  }
}

}  // namespace

std::string bash_completions() {
  std::string out =
      "# bash completion for upscale, made by `upscale completions bash`\n"
      "_upscale() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word=\n"
      "  COMPREPLY=()\n"
      "  [ \"$COMP_CWORD\" -gt 1 ] && word=${COMP_WORDS[1]}\n"
      "  case $word in\n";
  for (const Command& c : commands()) {
    const SmallSyntax& s = c.syntax();
    std::vector<std::string> words = {"--help"};
    for (const SmallOption& o : s.options) words.push_back(o.name);
    const std::string command = s.command;
    if (command == "fetch" || command == "info")
      for (const std::string& a : alias_names()) words.push_back(a);
    if (command == "fetch") words.insert(words.end(), {niqe_data().alias, "all"});
    if (command == "completions") words.insert(words.end(), {"bash", "zsh"});
    out += "    " + command + ") COMPREPLY=($(compgen -f -W '" + joined(words, " ") +
           "' -- \"$cur\")); return;;\n";
  }
  out += "  esac\n  case $prev in\n";
  for (const Option& o : option_table().options) {
    if (o.argument.empty() || o.level == Level::unlisted || !o.bare.empty()) continue;
    std::string how;
    if (!o.choices.empty())
      how = "-W '" + joined(o.choices, " ") + "'";
    else if (o.completes == Completes::model)
      how = "-f -W '" + joined(alias_names(), " ") + "'";
    else if (o.completes == Completes::folder)
      how = "-d";
    else if (o.completes == Completes::file)
      how = "-f";
    out += "    " + joined(all_names(o), "|") + ") ";
    if (!how.empty()) out += "COMPREPLY=($(compgen " + how + " -- \"$cur\")); ";
    out += "return;;\n";
  }
  std::vector<std::string> names;
  for (const Option& o : option_table().options)
    if (o.level != Level::unlisted)
      for (const std::string& n : all_names(o)) names.push_back(n);
  out += "  esac\n  case $cur in\n    -*) COMPREPLY=($(compgen -W '" + joined(names, " ") +
         "' -- \"$cur\")); return;;\n  esac\n"
         "  local words=\n  [ \"$COMP_CWORD\" -eq 1 ] && words='" +
         joined(command_names(), " ") +
         "'\n"
         "  COMPREPLY=($(compgen -f -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -o filenames -F _upscale upscale\n";
  return out;
}

std::string zsh_completions() {
  std::string out =
      "#compdef upscale\n# zsh completion for upscale, made by `upscale completions zsh`\n"
      "_upscale_models() {\n  local -a names=(" +
      joined(alias_names(), " ") +
      ")\n  compadd -a names\n  _files\n}\n"
      "_upscale() {\n  case ${words[2]} in\n";
  for (const Command& c : commands()) {
    const SmallSyntax& s = c.syntax();
    const std::string command = s.command;
    out += "    " + command + ")\n      ((CURRENT > 2)) && { _arguments";
    for (const SmallOption& o : s.options) {
      out += " '" + o.name + "[" + zsh_text(o.help) + "]";
      out += (o.argument.empty() ? "" : ":" + zsh_text(o.argument) + ":_files") + "'";
    }
    std::string rest = command == "completions" ? "(bash zsh)"
                       : command == "fetch"     ? "(" + joined(alias_names(), " ") + " niqe all)"
                       : command == "info"      ? "_upscale_models"
                                                : "_files";
    out += " '1:command:' '*:argument:" + rest + "'; return };;\n";
  }
  out += "  esac\n";
  std::vector<std::string> described;
  for (const Command& c : commands())
    described.push_back("'" + std::string(c.syntax().command) + ":" + zsh_text(c.syntax().summary) + "'");
  out += "  if ((CURRENT == 2)) && [[ ${words[2]} != -* ]]; then\n    local -a known=(" +
         joined(described, " ") + ")\n    _describe command known\n  fi\n  _arguments -s";
  for (const Option& o : option_table().options) {
    if (o.level == Level::unlisted) continue;
    const std::vector<std::string> names = all_names(o);
    for (const std::string& n : names) {
      out += " \\\n    ";
      out += o.repeats ? "'*'" : names.size() > 1 ? "'(" + joined(names, " ") + ")'" : "";
      out += n;
      if (!o.argument.empty()) out += n.size() == 2 ? "+" : "=";
      out += "'[" + zsh_text(o.help) + "]";
      if (!o.argument.empty())
        out += (o.bare.empty() ? ":" : "::") + zsh_text(o.argument) + ":" + zsh_action(o);
      out += "'";
    }
  }
  return out + " \\\n    '*:file:_files'\n}\n_upscale \"$@\"\n";
}

}  // namespace ups::apps
