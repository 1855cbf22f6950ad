#pragma once
// A progress bar with rate and time left, and the way a user's interrupt reaches a long computation.

#include <chrono>
#include <clout/engine/solver.hpp>
#include <optional>
#include <string>

namespace clout {

/// Standard error is a terminal: there progress is shown unless an option says otherwise.
bool is_on_terminal();

/// Draws on standard error; only on a terminal unless forced. Its callback throws Interrupted after SIGINT or SIGTERM.
class ProgressBar {
 public:
  /// `shown` null: as is_on_terminal().
  explicit ProgressBar(std::optional<bool> shown = {});
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  const Progress& callback() const { return callback_; }

 private:
  void update(const std::string& stage, double done, double total);
  void clear();

  bool shown_;
  bool drawn_ = false;
  std::string stage_;
  double first_done_ = 0;
  std::chrono::steady_clock::time_point stage_start_, last_drawn_;
  Progress callback_;
};

/// From now on SIGINT and SIGTERM are noted instead of ending the process at once; a second one ends it.
void catch_interrupts();
/// Throws Interrupted if one was noted.
void check_interrupt();

}  // namespace clout
