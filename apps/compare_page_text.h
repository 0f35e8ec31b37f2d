// Style and script of the comparing page.
#pragma once

namespace ups::apps {

extern const char* const kPageStyle;   // inside <style>
extern const char* const kPageScript;  // inside <script>; needs `frame` and `places`, see compare_page.cpp

}  // namespace ups::apps
