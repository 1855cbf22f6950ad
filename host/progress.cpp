#include <unistd.h>

#include <algorithm>
#include <clout/host/progress.hpp>
#include <clout/kernels/interruption.hpp>
#include <csignal>
#include <cstdio>

namespace clout {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(200);
constexpr int kBarWidth = 24;

volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int signal) {
  interrupted = 1;
  std::signal(signal, SIG_DFL);
}

std::string duration_text(double seconds) {
  char text[32];
  if (seconds < 100) std::snprintf(text, sizeof text, "%.0f s", seconds);
  else if (seconds < 6000) std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  else std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  return text;
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, note_interrupt);
  std::signal(SIGTERM, note_interrupt);
  set_interruption_test([] { return interrupted != 0; });
}

void check_interrupt() {
  if (interrupted) throw Interrupted("interrupted");
}

bool is_on_terminal() { return isatty(STDERR_FILENO) == 1; }

ProgressBar::ProgressBar(std::optional<bool> shown) : shown_(shown.value_or(is_on_terminal())) {
  callback_ = [this](const std::string& stage, double done, double total) {
    check_interrupt();
    update(stage, done, total);
  };
}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::update(const std::string& stage, double done, double total) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = now;
    first_done_ = done;
  } else if (now - last_drawn_ < kRedraw && done < total) {
    return;
  }
  last_drawn_ = now;
  const double share = total > 0 ? std::clamp(done / total, 0.0, 1.0) : 0;
  const double elapsed = std::chrono::duration<double>(now - stage_start_).count();
  const double rate = elapsed > 0 ? (done - first_done_) / elapsed : 0;
  std::string bar(static_cast<std::size_t>(share * kBarWidth), '#');
  bar.resize(kBarWidth, '.');
  std::string line = "\r" + stage + " [" + bar + "] ";
  char text[64];
  std::snprintf(text, sizeof text, "%.0f/%.0f", done, total);
  line += text;
  if (rate > 0) {
    std::snprintf(text, sizeof text, ", %.3g/s, ", rate);
    line += text + duration_text((total - done) / rate) + " left";
  }
  std::fprintf(stderr, "%s\x1b[K", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
  if (done >= total) clear();
}

void ProgressBar::clear() {
  if (drawn_) std::fprintf(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace clout
