// Style and script of the comparing page and of the list of such pages.
#pragma once

namespace ups::apps {

extern const char* const kPageStyle;   // inside <style>
extern const char* const kIndexStyle;  // of the list
extern const char* const kPageScript;  // inside <script>; needs `frame` and `places`, see page.cpp

}  // namespace ups::apps
