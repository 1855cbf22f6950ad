#include "fiber.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "sanitizers.hpp"

namespace simt::detail {

namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kStackBytes = (kAddressSanitizer ? 256 : 64) * 1024;
constexpr std::size_t kStride = kStackBytes + kPage;

thread_local const StackPool* watched_pool = nullptr;
thread_local void (*describe_overrun)(long, char*, std::size_t) = nullptr;
struct sigaction previous_action;

void on_segmentation_fault(int signal, siginfo_t* info, void*) {
  const long stack = watched_pool ? watched_pool->overrun(info->si_addr) : -1;
  if (stack >= 0) {
    char text[512];
    describe_overrun(stack, text, sizeof text);
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, std::strlen(text));
    std::abort();
  }
  sigaction(signal, &previous_action, nullptr);  // not ours: the access repeats and meets the earlier action
}

}  // namespace

void switch_context(Context& from, Context& to, bool dying) {
  start_switch(dying ? nullptr : &from.fake_stack, to.stack_bottom, to.stack_bytes);
  switch_race_fiber(to.race_fiber);
  arrive(from, jump_fcontext(to.handle, &from));
}

void arrive(Context& self, transfer_t transfer) {
  auto& source = *static_cast<Context*>(transfer.data);
  source.handle = transfer.fctx;
  finish_switch(self.fake_stack, &source.stack_bottom, &source.stack_bytes);
}

StackPool::~StackPool() { release(); }

void StackPool::release() {
  if (base_) munmap(base_, count_ * kStride);
  base_ = nullptr;
  count_ = 0;
}

char* StackPool::usable(std::size_t index) const { return base_ + index * kStride + kPage; }

void StackPool::reserve(std::size_t count) {
  if (count <= count_) return;
  release();
  void* memory =
      mmap(nullptr, count * kStride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(memory);
  count_ = count;
  for (std::size_t i = 0; i < count; ++i)
    if (mprotect(base_ + i * kStride, kPage, PROT_NONE) != 0) throw std::bad_alloc();
}

void StackPool::renew(std::size_t count) {
  if constexpr (kThreadSanitizer) {
    // A fresh mapping is memory that nobody has touched: ThreadSanitizer forgets the fibers of the last block.
    for (std::size_t i = 0; i < count; ++i)
      if (mmap(usable(i), kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
               -1, 0) == MAP_FAILED)
        throw std::bad_alloc();
  }
}

void StackPool::forget_frames() {
  for (std::size_t i = 0; i < count_; ++i) unpoison(usable(i), kStackBytes);
}

void StackPool::prepare(Context& context, std::size_t index, void (*entry)(transfer_t)) const {
  // Stacks that all begin at the same page offset would compete for the same few lines of the L1 cache.
  const std::size_t colour = index % 28 * 128;
  context.stack_bottom = usable(index);
  context.stack_bytes = kStackBytes - colour;
  context.fake_stack = nullptr;
  context.handle = make_fcontext(usable(index) + context.stack_bytes, context.stack_bytes, entry);
}

long StackPool::overrun(const void* address) const {
  const auto* at = static_cast<const char*>(address);
  if (!base_ || at < base_ || at >= base_ + count_ * kStride) return -1;
  const auto offset = static_cast<std::size_t>(at - base_);
  return offset % kStride < kPage ? static_cast<long>(offset / kStride) : -1;
}

void report_overruns(const StackPool* pool, void (*describe)(long, char*, std::size_t)) {
  if constexpr (kAddressSanitizer) return;
  watched_pool = pool;
  describe_overrun = describe;
  if (!pool) return;
  // The handler cannot run on the stack that has no room left.
  struct AlternateStack {
    char memory[64 * 1024];
    AlternateStack() {
      stack_t stack{};
      stack.ss_sp = memory;
      stack.ss_size = sizeof memory;
      sigaltstack(&stack, nullptr);
    }
    ~AlternateStack() {
      stack_t stack{};
      stack.ss_flags = SS_DISABLE;
      sigaltstack(&stack, nullptr);
    }
  };
  static thread_local AlternateStack alternate;
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_segmentation_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &previous_action);
  });
}

}  // namespace simt::detail
