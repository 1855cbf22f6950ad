#pragma once
// What both ways to the explicit Hessian of softmax regression share: blocks (c, c′), c < c′, by their number; and the blocks
// of the diagonal.

#include <clout/kernels/cpu/parallel.hpp>
#include <clout/kernels/operations.hpp>

namespace clout::cpu {

struct Pair {
  Index first, second;
};
inline Pair pair_of(Index number, Index classes) {
  Index first = 0;
  for (Index left = classes - 1; number >= left; number -= left, --left) ++first;
  return {first, first + 1 + number};
}

// H_cc = −Σ_{c′≠c} H_cc′, row by row.
template <class T>
void fill_diagonal_blocks(const Device& device, const SoftmaxHessian<T>& op) {
  const Index d = op.shape.features, classes = op.shape.classes, p = op.out.rows;
  parallel_tasks(device, p, [&](Index row, int) {
    const Index own = row < classes * d ? row / d : row - classes * d;
    T* out = op.out.row(row);
    const auto fill = [&](T* first, Index width) {
      for (Index f = 0; f < width; ++f) {
        T sum = 0;
        for (Index c = 0; c < classes; ++c)
          if (c != own) sum += first[c * width + f];
        first[own * width + f] = -sum;
      }
    };
    fill(out, d);
    if (op.shape.bias) fill(out + classes * d, 1);
  });
}

/// The blocks c ≠ c′ of op.out, from op.sparse.
template <class T>
void sparse_softmax_hessian(Device&, const SoftmaxHessian<T>&);
template <class T>
std::size_t sparse_softmax_hessian_scratch(const Device&, const SoftmaxHessian<T>&);

}  // namespace clout::cpu
