#pragma once
// What the sanitizers must be told about fibers. SIMT_TSAN is set by the build for the race-detecting variant, whose
// executor is itself compiled without TSan: only the kernels' own memory accesses shall be watched.

#include <cstddef>

#if defined(SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace simt::detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
inline void start_switch(void** fake_stack, const void* bottom, std::size_t size) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, size);
}
inline void finish_switch(void* fake_stack, const void** old_bottom, std::size_t* old_size) {
  __sanitizer_finish_switch_fiber(fake_stack, old_bottom, old_size);
}
inline void unpoison(void* memory, std::size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
inline constexpr bool kAddressSanitizer = false;
inline void start_switch(void**, const void*, std::size_t) {}
inline void finish_switch(void*, const void**, std::size_t*) {}
inline void unpoison(void*, std::size_t) {}
#endif

#if defined(SIMT_TSAN)
inline constexpr bool kThreadSanitizer = true;
inline void* race_fiber_here() { return __tsan_get_current_fiber(); }
inline void* create_race_fiber() { return __tsan_create_fiber(0); }
inline void name_race_fiber(void* fiber, const char* name) { __tsan_set_fiber_name(fiber, name); }
inline void destroy_race_fiber(void* fiber) { __tsan_destroy_fiber(fiber); }
/// A switch that orders nothing: edges come from release and acquire alone.
inline void switch_race_fiber(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
inline void release(void* object) { __tsan_release(object); }
inline void acquire(void* object) { __tsan_acquire(object); }
#else
inline constexpr bool kThreadSanitizer = false;
inline void* race_fiber_here() { return nullptr; }
inline void* create_race_fiber() { return nullptr; }
inline void name_race_fiber(void*, const char*) {}
inline void destroy_race_fiber(void*) {}
inline void switch_race_fiber(void*) {}
inline void release(void*) {}
inline void acquire(void*) {}
#endif

}  // namespace simt::detail
