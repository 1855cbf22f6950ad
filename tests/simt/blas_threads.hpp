#pragma once
// OpenBLAS's bits depend on its number of threads, and that number belongs to whoever else uses it in the process.

#include <cblas.h>

namespace simt::detail {

/// One thread for a scope.
class SingleThreadedBlas {
 public:
  SingleThreadedBlas() : before_(openblas_get_num_threads()) {
    if (before_ != 1) openblas_set_num_threads(1);
  }
  ~SingleThreadedBlas() {
    if (before_ != 1) openblas_set_num_threads(before_);
  }
  SingleThreadedBlas(const SingleThreadedBlas&) = delete;
  SingleThreadedBlas& operator=(const SingleThreadedBlas&) = delete;

 private:
  int before_;
};

}  // namespace simt::detail
