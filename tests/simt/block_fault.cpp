// What went wrong in a block, in words. Runs on the host's stack, when no fiber can run any more.

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "block.hpp"

namespace simt::detail {

namespace {

std::string place(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string triple(const uint3& v) {
  std::ostringstream text;
  text << '(' << v.x << ',' << v.y << ',' << v.z << ')';
  return text.str();
}

/// Known where the kernel has external linkage and the program exports its symbols (-rdynamic).
std::string kernel_name(const void* kernel) {
  Dl_info info{};
  if (!dladdr(kernel, &info) || !info.dli_sname || info.dli_saddr != kernel) return {};
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status),
                                                    std::free);
  return status == 0 ? name.get() : info.dli_sname;
}

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::barrier:
      return "__syncwarp";
    case WarpOperation::shuffle:
      return "__shfl_sync";
    case WarpOperation::shuffle_up:
      return "__shfl_up_sync";
    case WarpOperation::shuffle_down:
      return "__shfl_down_sync";
    case WarpOperation::shuffle_xor:
      return "__shfl_xor_sync";
    case WarpOperation::ballot:
      return "a vote";
    case WarpOperation::gather:
      return "a matrix instruction";
  }
  return "a warp operation";
}

}  // namespace

/// Nobody can run, yet not all have returned: finds whom the first waiting thread waits for in vain.
Mistake Block::stuck() const {
  for (const auto& waiting : threads_) {
    if (waiting.state != State::at_warp_operation) continue;
    const long self = number_of(waiting), first = self - self % static_cast<long>(kWarpLanes);
    for (unsigned left = waiting.mask; left; left &= left - 1) {
      const long other = first + std::countr_zero(left);
      const Thread& absent = threads_[static_cast<std::size_t>(other)];
      if (absent.state == State::returned)
        return {FaultKind::early_return,
                "a lane returned before a warp operation at which others wait",
                waiting.where,
                self,
                other,
                {},
                name_of(waiting.operation)};
      if (absent.state == State::at_barrier)
        return {FaultKind::absent_lane,
                "a lane waits at a block barrier instead of at the warp operation",
                waiting.where,
                self,
                other,
                absent.where,
                name_of(waiting.operation)};
      if (absent.mask != waiting.mask)
        return {FaultKind::absent_lane,
                "a lane of the mask waits at another warp operation or with another mask",
                waiting.where,
                self,
                other,
                absent.where,
                name_of(waiting.operation)};
    }
  }
  for (const auto& waiting : threads_) {
    if (waiting.state != State::at_barrier) continue;
    for (const auto& other : threads_)
      if (other.state == State::returned)
        return {FaultKind::early_return,
                "a thread returned before a barrier at which others wait",
                waiting.where,
                number_of(waiting),
                number_of(other),
                {},
                {}};
  }
  return {FaultKind::barrier_divergence, "no thread can continue", {}};
}

std::string Block::describe(const Mistake& mistake) const {
  std::ostringstream text;
  if (mistake.where.line()) text << place(mistake.where) << ": ";
  text << mistake.what;
  if (!mistake.detail.empty()) text << " (" << mistake.detail << ")";
  text << ": ";
  if (const auto name = kernel_name(launch_->kernel); !name.empty()) {
    text << "kernel " << name << ", ";
  } else if (mistake.where.line()) {
    text << "in " << mistake.where.function_name() << ", ";
  }
  text << "block " << triple(blockIdx);
  const auto thread = [&](long i) { return "thread " + triple(threads_[static_cast<std::size_t>(i)].index); };
  if (mistake.thread >= 0) text << ", " << thread(mistake.thread);
  if (mistake.other >= 0) {
    text << "; the other is " << thread(mistake.other);
    if (mistake.elsewhere.line()) text << " at " << place(mistake.elsewhere);
  }
  return text.str();
}

/// Called from a signal handler: no allocation.
void Block::describe_overrun(long stack, char* text, std::size_t size) const {
  const auto& t = threads_[static_cast<std::size_t>(stack)].index;
  Dl_info info{};
  const bool named = dladdr(launch_->kernel, &info) && info.dli_sname && info.dli_saddr == launch_->kernel;
  std::snprintf(text, size, "simt: stack overrun: kernel %s, block (%u,%u,%u), thread (%u,%u,%u)\n",
                named ? info.dli_sname : "?", blockIdx.x, blockIdx.y, blockIdx.z, t.x, t.y, t.z);
}

}  // namespace simt::detail
