// The manual page, in the man macros every troff knows.
#include <string>

#include "apps/commands.h"
#include "apps/help.h"
#include "apps/options/option.h"
#include "upscale.h"

namespace ups::apps {
namespace {

// Text that troff shows as it is.
std::string plain(const std::string& text) {
  std::string out;
  for (char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string bold(const std::string& text) { return "\\fB" + plain(text) + "\\fR"; }

std::string sentence(const std::string& text) { return text + "."; }

}  // namespace

std::string manual_page() {
  std::string out = ".TH UPSCALE 1 \"\" \"upscale " + std::string(ups_version()) + "\" \"User Commands\"\n";
  out += ".SH NAME\nupscale \\- super\\-resolution for images\n.SH SYNOPSIS\n";
  out += ".B upscale\n.I IN OUT\n[options]\n.br\n.B upscale\n.I IN... FOLDER\n[options]\n";
  for (const Command& c : commands())
    out += ".br\n" + bold(std::string("upscale ") + c.syntax().command) + " " + plain(c.syntax().arguments) +
           "\n";
  out +=
      ".SH DESCRIPTION\nEnlarges images with super\\-resolution networks. The network is recognised from its "
      "weights, and the result always has exactly the size asked for.\n.SH OPTIONS\n"
      "In long options _ and \\- are alike. The last of several equal options counts.\n";
  const Group* last = nullptr;
  for (const Option& o : option_table().options) {
    if (o.level == Level::unlisted) continue;
    if (!last || *last != o.group) out += ".SS " + plain(title_of(o.group)) + "\n";
    last = &o.group;
    std::string names;
    for (const std::string& n : all_names(o)) names += (names.empty() ? "" : ", ") + bold(n);
    if (!o.argument.empty()) {
      std::string argument = "\\fI" + plain(o.argument) + "\\fR";
      names += o.bare.empty() ? " " + argument : "[=" + argument + "]";
    }
    out += ".TP\n" + names + "\n" + plain(sentence(o.help)) + "\n";
    if (!o.details.empty()) out += plain(o.details) + "\n";
  }
  out += ".SH COMMANDS\n";
  for (const Command& c : commands()) {
    const SmallSyntax& s = c.syntax();
    out += ".TP\n" + bold(std::string("upscale ") + s.command) + " " + plain(s.arguments) + "\n" +
           plain(sentence(s.summary)) + "\n";
    if (*s.details) out += plain(s.details);
    for (const SmallOption& o : s.options) {
      out += ".RS\n.TP\n" + bold(o.name) + (o.argument.empty() ? "" : " \\fI" + plain(o.argument) + "\\fR") +
             "\n" + plain(sentence(o.help)) + "\n.RE\n";
    }
  }
  out += ".SH EXIT STATUS\n" + plain(kExitCodes) + "\n";
  out +=
      ".SH ENVIRONMENT\n.TP\n.B UPSCALE_MODELS\nThe folder of fetched models; otherwise "
      "$XDG_DATA_HOME/upscale/models or ~/.local/share/upscale/models.\n";
  return out;
}

}  // namespace ups::apps
