// `upscale IN OUT`, the main use. A loader thread reads and decodes, the main thread computes, a saver thread
// encodes and writes, with one image between each: the next image is decoded and the previous one saved while
// the network runs. One bad file never stops the others.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <thread>

#include "apps/cancel.h"
#include "apps/chain.h"
#include "apps/codecs/pixel_count.h"
#include "apps/commands.h"
#include "apps/compare/page.h"
#include "apps/compare/page_index.h"
#include "apps/failure.h"
#include "apps/jobs.h"
#include "apps/manifest.h"
#include "apps/model_facts.h"
#include "apps/plan_text.h"
#include "apps/progress.h"
#include "apps/queue.h"
#include "apps/run.h"
#include "apps/run_plan.h"
#include "apps/terminal.h"

namespace ups::apps {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

// A job on its way through the three threads. `error` is set by the first that fails; the rest pass it on.
struct Work {
  Job job;
  int index = 0;  // 1-based
  OutputFile file;
  FileStamp stamp;
  Image lr, hr;
  int lr_width = 0, lr_height = 0, hr_width = 0, hr_height = 0;
  SizePlan plan;      // of the result
  std::string notes;  // of the reader, for the user
  double load_seconds = 0, compute_seconds = 0;
  Clock::time_point start;
  std::exception_ptr error;
};

// Where lines for the user go: the picture has the standard output to itself.
FILE* messages(const Options& o) { return o.output == "-" ? stderr : stdout; }

class Batch {
 public:
  // skipped: the run's files that are left out because they are done.
  Batch(const Options& options, std::vector<Job> jobs, const std::vector<Job>& skipped, Manifest& manifest)
      : options_(options),
        jobs_(std::move(jobs)),
        skipped_(int(skipped.size())),
        manifest_(manifest),
        progress_(options.progress, options.quiet) {
    if (options.report.empty() || options.dry_run || jobs_.size() + skipped.size() < 2) return;
    index_.emplace(options.report, "upscale",
                   std::vector<std::string>{"size", "result", "seconds", "made by"});
    for (const Job& job : skipped)
      index_->add(page_name(job), shown_name(job), {"", "", "", "an earlier run"});
  }

  int run() {
    const Clock::time_point start = Clock::now();
    ups_wake_device(options_.device.c_str());
    std::thread loader([this] { load(); });
    Joiner join_loader{loader, loaded_};
    model_ = open_models(options_);  // while the first image is decoded
    model_text_ = model_text(*model_);
    const std::string note = device_note(*model_);
    if (!note.empty() && !options_.quiet) fprintf(stderr, "%s\n", note.c_str());
    if (int own = network_scale(*model_);
        options_.stated_scale && options_.stated_scale != own && !options_.quiet)
      fprintf(stderr, "-z %d: the network's own factor is %d, as its weights say\n", options_.stated_scale,
              own);
    if (on_cpu(*model_) && !options_.quiet) {
      if (options_.max_vram_bytes) fputs("--max-vram: has no effect on the CPU (see --max-ram)\n", stderr);
      if (options_.precision != UPS_PRECISION_AUTO && options_.precision != UPS_PRECISION_FP32)
        fputs("--precision: has no effect, the CPU computes in fp32\n", stderr);
    }
    if (options_.verbose)
      print_line(stderr, "model %s from %s", model_text_.c_str(), model_->opened().c_str());
    progress_.begin_run(int(jobs_.size()), skipped_, progress_.wanted() ? expected_pixels() : 0);
    {
      std::thread saver([this] { save(); });
      Joiner join_saver{saver, computed_};
      while (auto work = loaded_.pop()) {
        compute(std::move(*work));
        if (cancelled()) break;
      }
      model_.reset();  // its memory is free while the last picture is encoded, as the plan says
    }                  // the saver has finished what it had
    progress_.end();
    progress_.end_run(done_, failed_, skipped_, cancelled());
    if (index_) index_->commit();
    if (broken_) std::rethrow_exception(broken_);
    if (cancelled()) throw Failure(kCancelled, cancelled_text());
    const bool several = jobs_.size() + size_t(skipped_) > 1;
    if (several && !options_.quiet && !options_.dry_run) {
      printf("%zu files: %d done, %d failed%s, %s in all\n", jobs_.size() + size_t(skipped_), done_, failed_,
             skipped_ ? (", " + std::to_string(skipped_) + " left out").c_str() : "",
             seconds_text(seconds_since(start)).c_str());
    }
    if (jobs_.size() > 1 && options_.dry_run && !options_.quiet)
      printf("%zu files: estimated at most %s in all\n", jobs_.size(),
             seconds_text(planned_seconds_).c_str());
    if (failed_ == 0) return kOk;
    return several ? kPartial : code_;
  }

 private:
  // Closes the queue the thread works on, then waits for it.
  struct Joiner {
    std::thread& thread;
    Queue<Work>& queue;
    ~Joiner() {
      queue.close();
      thread.join();
    }
  };

  std::string cancelled_text() const {
    if (jobs_.size() == 1) return "cancelled";
    std::string text = "cancelled: " + std::to_string(done_) + " of " + std::to_string(jobs_.size()) +
                       " files are done and complete";
    if (failed_ > 0) text += ", " + std::to_string(failed_) + " failed";
    return text + ", nothing is half written (go on with " +
           (options_.resume.empty() ? "--skip-existing)" : "the same --resume)");
  }

  // Of all inputs. Files whose headers do not say weigh what their bytes weigh elsewhere in the batch.
  int64_t expected_pixels() const {
    int64_t known_pixels = 0, known_bytes = 0, unknown_bytes = 0;
    for (const Job& job : jobs_) {
      if (cancelled()) break;
      int64_t pixels = pixels_in_header(job.in), bytes = std::max<int64_t>(stamp_of(job.in).bytes, 0);
      known_pixels += pixels;
      (pixels > 0 ? known_bytes : unknown_bytes) += bytes;
    }
    if (known_bytes == 0) return unknown_bytes;
    return known_pixels + int64_t(double(known_pixels) / double(known_bytes) * double(unknown_bytes));
  }

  void load() {
    int index = 0;
    for (const Job& job : jobs_) {
      Work w;
      w.job = job;
      w.index = ++index;
      w.start = Clock::now();
      try {
        throw_if_cancelled();
        if (!options_.dry_run) w.file = OutputFile(job.out);  // fails now rather than after computing
        w.stamp = stamp_of(job.in);
        w.lr = read_image(job.in);
        w.lr_width = w.lr.width, w.lr_height = w.lr.height;
        w.notes = w.lr.notes;
      } catch (...) {
        w.error = std::current_exception();
      }
      w.load_seconds = seconds_since(w.start);
      if (cancelled() || !loaded_.push(std::move(w))) break;
    }
    loaded_.close();
  }

  // Passes the work on: at once if it can be encoded while it is computed, else when it is done.
  void compute(Work w) {
    bool passed_on = false;
    const Image lr = std::move(w.lr);
    try {
      if (w.error) std::rethrow_exception(w.error);
      Clock::time_point start = Clock::now();
      const bool show = options_.dry_run || options_.verbose;
      if (show || (takes_statistics(*model_) && !options_.quiet)) {
        const auto [text, seconds] = plan_text(*model_, lr, w.job.format, options_, w.job.in, w.job.out,
                                               options_.dry_run ? &run_time_ : nullptr, w.load_seconds);
        planned_seconds_ += seconds;
        if (show)
          fputs(text.c_str(), options_.dry_run ? stdout : stderr);
        else if (text.find(kTileStatistics) != std::string::npos)
          print_line(stderr, "%s: %s", w.job.in.c_str(), kTileStatistics);
      }
      if (options_.dry_run) return (void)computed_.push(std::move(w));
      progress_.begin(w.job.in, w.index, int(jobs_.size()), int64_t(lr.width) * lr.height);
      SizePlan plan;
      auto pass_on = [&](Image hr) {
        w.plan = plan;
        hr.meta = result_metadata(lr.meta, options_.meta, options_.dpi, hr.width, hr.height, hr.channels,
                                  provenance(*model_, options_, w.job.format, lr, hr));
        if (options_.kind != UPS_KIND_COLOR) drop_colour_space(hr.meta);
        w.hr = std::move(hr);
        passed_on = true;
        computed_.push(std::move(w));
      };
      std::optional<Image> hr =
          upscale_image(*model_, lr, w.job.format, options_, w.job.out, progress_, pass_on, &plan);
      if (hr) {
        w.compute_seconds = seconds_since(start);
        pass_on(std::move(*hr));
      }
    } catch (...) {
      if (!passed_on) {
        w.error = std::current_exception();
        computed_.push(std::move(w));
      }
    }
    progress_.end();
    progress_.passed(int64_t(lr.width) * lr.height);
  }

  void save() {
    while (auto popped = computed_.pop()) {
      Work& w = *popped;
      Clock::time_point start = Clock::now();
      try {
        if (w.error) std::rethrow_exception(w.error);
        if (options_.dry_run) continue;
        w.hr_width = w.hr.width, w.hr_height = w.hr.height;
        const std::shared_ptr<RowsReady> streamed = w.hr.pending.state;
        write_image(w.file, w.job.format, std::move(w.hr), options_.encode);
        if (streamed) w.compute_seconds = streamed->seconds();
        if (!options_.report.empty()) show(w);
        done_++;
        report(w, seconds_since(start));
        note([&] { manifest_.add_done(w.job, w.stamp, seconds_since(w.start)); });
      } catch (...) {
        const Failure f = failure_of(std::current_exception());
        if (f.code == kCancelled) continue;
        std::string sentence = f.what();  // of which some are about memory or the device, not the file
        if (sentence.find(w.job.in) == sentence.npos && sentence.find(w.job.out) == sentence.npos)
          sentence.insert(0, w.job.in + ": ");
        failed_++, code_ = f.code;
        if (index_) note([&] { index_->add(page_name(w.job), w.job.in, {"", "", "", sentence}); });
        int count = int(jobs_.size());
        if (progress_.json())
          progress_.failed(w.job.in, w.index, count, f.code, sentence);
        else
          fprintf(stderr, "%supscale: %s\n", clear_line(), printable(sentence).c_str());
        note([&] { manifest_.add_failed(w.job, w.stamp, f.code, sentence); });
      }
    }
  }

  // The page of a report, and its line in the list of several.
  void show(const Work& w) {
    const std::string name = page_name(w.job);
    const Image result = write_report(w.job.in, w.job.out, model_text_, w.plan,
                                      index_ ? index_->page_for(name) : options_.report);
    if (!index_) return;
    index_->put_thumbnail(name, result);
    auto size = [](int width, int height) { return std::to_string(width) + "x" + std::to_string(height); };
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%.2f", seconds_since(w.start));
    index_->add(name, shown_name(w.job),
                {size(w.lr_width, w.lr_height), size(result.width, result.height), seconds, model_text_});
  }

  // Relative to the output folder: what tells the results apart.
  std::string page_name(const Job& job) const {
    return std::filesystem::path(job.out).lexically_relative(options_.output).generic_string();
  }
  std::string shown_name(const Job& job) const { return job.in + " \u2192 " + page_name(job); }

  // Files are made even when the manifest cannot be written; the run says so at its end.
  void note(const std::function<void()>& write) try { write(); } catch (...) {
    if (!broken_) broken_ = std::current_exception();
  }

  void report(const Work& w, double save_seconds) {
    progress_.finished(w.job.in, w.job.out, w.index, int(jobs_.size()), seconds_since(w.start));
    if (options_.quiet) return;
    if (!w.notes.empty() && !progress_.json())
      fprintf(stderr, "%s%s\n", clear_line(), printable(w.job.in + ": " + w.notes).c_str());
    FILE* const out = messages(options_);
    const bool several = jobs_.size() > 1;  // then the model has a line of its own
    if (several && done_ == 1) fprintf(out, "%s%s\n", clear_line(), printable(model_text_).c_str());
    fprintf(out, "%s%s %dx%d -> %s %dx%d, %s\n", clear_line(),
            printable((several ? "" : model_text_ + ": ") + w.job.in).c_str(), w.lr_width, w.lr_height,
            printable(w.job.out).c_str(), w.hr_width, w.hr_height,
            seconds_text(seconds_since(w.start)).c_str());
    fflush(out);
    if (options_.verbose) {
      fprintf(stderr, "  read %s, computed %s, wrote %s%s\n", seconds_text(w.load_seconds).c_str(),
              seconds_text(w.compute_seconds).c_str(), seconds_text(save_seconds).c_str(),
              save_seconds > w.compute_seconds ? ", meanwhile" : "");
    }
  }

  // The saver prints while the main thread may have a bar on the line.
  const char* clear_line() const { return progress_.bar() ? "\r\033[K" : ""; }

  const Options& options_;
  const std::vector<Job> jobs_;
  const int skipped_;
  Manifest& manifest_;
  Progress progress_;
  std::unique_ptr<Model> model_;
  std::string model_text_;
  std::optional<PageIndex> index_;  // of the report of several pictures
  RunTime run_time_;                // of --dry-run
  double planned_seconds_ = 0;
  Queue<Work> loaded_{1}, computed_{1};
  int done_ = 0, failed_ = 0, code_ = kOk;  // the saver's
  std::exception_ptr broken_;               // the manifest cannot be written; the saver's
};

// Finds out before computing whether a file can be written.
void probe(const std::string& path) {
  make_folder(std::filesystem::path(path).parent_path().string());
  OutputFile file(path);
}

}  // namespace

int run_command(const std::vector<std::string>& arguments) {
  std::optional<Options> options = parse_options(arguments);
  if (!options) return kOk;
  if (options->output == "-" && !options->dry_run && isatty(STDOUT_FILENO))
    fail(kUsage, "output -: is a terminal, expected a pipe or a file");
  std::vector<Job> jobs = list_jobs(*options);
  const size_t listed = jobs.size();
  if (const Job& job = jobs.front();
      !options->format.empty() && job.format != format_of_extension(options->format) && !options->quiet) {
    print_line(stderr, "%s: is written as %s, as its name says (the format %s is for folders)",
               job.out.c_str(), format_name(job.format), options->format.c_str());
  }
  std::error_code ignored;
  std::vector<Job> skipped;
  auto leave_out = [&](auto&& is_done) {
    const auto left =
        std::stable_partition(jobs.begin(), jobs.end(), [&](const Job& j) { return !is_done(j); });
    skipped.insert(skipped.end(), left, jobs.end());
    jobs.erase(left, jobs.end());
  };
  if (options->skip_existing)
    leave_out([&](const Job& j) { return std::filesystem::exists(j.out, ignored); });
  std::unique_ptr<Manifest> manifest =
      options->resume.empty()
          ? std::make_unique<Manifest>()
          : std::make_unique<Manifest>(options->resume, options->settings, !options->dry_run);
  leave_out([&](const Job& j) { return manifest->done(j); });
  if (jobs.empty()) {
    Progress progress(options->progress, options->quiet);
    progress.begin_run(0, int(skipped.size()), 0);
    progress.end_run(0, 0, int(skipped.size()), false);
    if (!options->quiet) puts(listed ? "nothing to do: every output is there" : "nothing to do");
    return kOk;
  }
  if (!options->save_steps.empty()) {
    if (listed > 1) fail(kUsage, "--save-steps: got ", listed, " inputs, expected one");
    if (!options->dry_run) probe(options->save_steps + "1.png");
  }
  if (!options->report.empty()) {
    if (!options->dry_run) probe(options->report);
  }
  return Batch(*options, std::move(jobs), skipped, *manifest).run();
}

}  // namespace ups::apps
