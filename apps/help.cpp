// --help, --help-all and `help TOPIC`.
#include "apps/help.h"

#include <algorithm>
#include <sstream>

#include "apps/options/option.h"
#include "apps/terminal.h"

namespace ups::apps {
namespace {

// That of the terminal, also where a pager stands between.
size_t width() {
  for (int fd : {1, 2})
    if (const size_t columns = terminal_columns(fd)) return std::clamp<size_t>(columns, 72, 110);
  return 110;
}

// Words of `text` after `start` columns, further lines indented by `indent`.
std::string wrapped(const std::string& text, size_t start, size_t indent) {
  std::istringstream words(text);
  std::string out, word;
  const size_t most = width();
  size_t column = start;
  bool first = true;
  while (words >> word) {
    if (!first && column + 1 + word.size() > most) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      first = true;
    }
    out += (first ? "" : " ") + word;
    column += word.size() + (first ? 0 : 1);
    first = false;
  }
  return out + "\n";
}

// "  left      right", the right column wrapped; on a line of its own where the left one is too long.
std::string two_columns(const std::string& left, const std::string& right, size_t indent) {
  std::string out = "  " + left;
  if (out.size() + 2 > indent)
    out += "\n" + std::string(indent, ' ');
  else
    out.resize(indent, ' ');
  return out + wrapped(right, indent, indent);
}

std::string details_of(const Option& o, size_t indent) {
  return o.details.empty() ? "" : std::string(indent, ' ') + wrapped(o.details, indent, indent);
}

// Lines of whole sentences, wrapped; those that are indented are tables and stay as they are.
std::string paragraphs(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);)
    out += line.empty() || line[0] == ' ' ? line + "\n" : wrapped(line, 0, 0);
  return out;
}

std::string shown_names(const SmallOption& o) {
  std::string out = o.also.size() > 1 && o.also[1] != '-' ? o.also.substr(0, 2) + ", " : "";
  return out + o.name + (o.argument.empty() ? "" : " " + o.argument);
}

}  // namespace

std::string usage_line(const SmallSyntax& s) {
  std::string out = std::string("upscale ") + s.command;
  if (*s.arguments) out += std::string(" ") + s.arguments;
  if (s.options.size() > 3) return out + " [options]";
  for (const SmallOption& o : s.options) out += " [" + shown_names(o) + "]";
  return out;
}

std::string usage_text(const SmallSyntax& s) {
  constexpr size_t kIndent = 27;
  std::string out = "Usage: " + usage_line(s) + "\n" + wrapped(s.summary + std::string("."), 0, 0);
  for (const SmallOption& o : s.options) out += two_columns(shown_names(o), o.help, kIndent);
  return out + paragraphs(s.details);
}

std::string help_text(bool all) {
  constexpr size_t kIndent = 27;
  std::string out = "upscale - super-resolution for images\n\nUsage:\n";
  out += two_columns("upscale IN OUT [options]", "one image", 44);
  out += two_columns("upscale IN... FOLDER [options]", "several images or folders into a folder", 44);
  for (const Command& c : commands()) {
    const SmallSyntax& s = c.syntax();
    out += two_columns(std::string("upscale ") + s.command + " " + s.arguments, s.summary, 44);
  }
  out += "\nExamples:\n";
  out += two_columns("upscale drawing.png large.png", "4x, by the network in the program", 44);
  out += two_columns("upscale photo.jpg large.png -m x4 -s 2.5", "2.5x, after `upscale fetch x4`", 44);
  out += two_columns("upscale pictures/ large/ -R -f jpg", "a folder with its sub-folders", 44);
  const Group* last = nullptr;
  for (const Option& o : option_table().options) {
    if (o.level == Level::unlisted || (o.level == Level::advanced && !all)) continue;
    if (!last || *last != o.group) out += std::string("\n") + title_of(o.group) + ":\n";
    last = &o.group;
    out += two_columns(shown_names(o), o.help, kIndent);
    if (all) out += details_of(o, kIndent);
  }
  if (!all)
    out +=
        "\nMore options: upscale --help-all. About one of them: upscale help NAME, e.g. upscale help "
        "scale.\n";
  return out + "\n" + wrapped(kExitCodes, 0, 0);
}

std::string help_about(const std::string& topic) {
  for (const Command& c : commands())
    if (topic == c.syntax().command) return usage_text(c.syntax());
  for (const Option& o : option_table().options) {
    if (o.level == Level::unlisted) continue;
    for (const std::string& name : all_names(o)) {
      if (topic != name && topic != name.substr(name.find_first_not_of('-'))) continue;
      std::string names;
      for (const std::string& n : all_names(o)) names += (names.empty() ? "" : ", ") + n;
      return names + (o.argument.empty() ? "" : " " + o.argument) + "\n      " + wrapped(o.help, 6, 6) +
             details_of(o, 6);
    }
  }
  return "";
}

}  // namespace ups::apps
