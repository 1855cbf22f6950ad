#pragma once
// Small matrices in long double, and the state of block conjugate gradients on a device, for tests.

#include <clout/kernels/block_operations.hpp>

#include <cmath>
#include <random>

#include "problem.hpp"

namespace clout::test {

using Matrix = std::vector<std::vector<long double>>;  // rows

inline Matrix zeros(Index rows, Index columns) {
  return Matrix(static_cast<std::size_t>(rows), std::vector<long double>(static_cast<std::size_t>(columns)));
}
inline Matrix times(const Matrix& a, const Matrix& b) {
  Matrix c = zeros(static_cast<Index>(a.size()), static_cast<Index>(b[0].size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t l = 0; l < b.size(); ++l)
      for (std::size_t j = 0; j < b[0].size(); ++j) c[i][j] += a[i][l] * b[l][j];
  return c;
}
inline Matrix transposed(const Matrix& a) {
  Matrix t = zeros(static_cast<Index>(a[0].size()), static_cast<Index>(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[0].size(); ++j) t[j][i] = a[i][j];
  return t;
}
inline std::vector<double> flat(const Matrix& a) {
  std::vector<double> values;
  for (const auto& row : a) values.insert(values.end(), row.begin(), row.end());
  return values;
}
inline Matrix unflat(const std::vector<double>& values, Index columns) {
  Matrix a = zeros(static_cast<Index>(values.size()) / columns, columns);
  for (std::size_t i = 0; i < values.size(); ++i)
    a[i / static_cast<std::size_t>(columns)][i % static_cast<std::size_t>(columns)] = values[i];
  return a;
}
inline long double distance(const Matrix& a, const Matrix& b) {
  long double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a[0].size(); ++j) {
      const long double apart = std::abs(a[i][j] - b[i][j]);
      largest = apart <= largest ? largest : apart;  // NaN is the largest
    }
  return largest;
}

/// L⁻¹ of a = L·Lᵀ.
inline Matrix inverse_factor(const Matrix& a) {
  Matrix rows = zeros(static_cast<Index>(a.size()), static_cast<Index>(a.size()));
  const auto along = [&](const std::vector<long double>& u, const std::vector<long double>& v) {
    return times(times({u}, a), transposed(Matrix{v}))[0][0];
  };
  for (std::size_t i = 0; i < a.size(); ++i) {  // Gram and Schmidt
    rows[i][i] = 1;
    for (std::size_t l = 0; l < i; ++l) {
      const long double part = along(rows[i], rows[l]);
      for (std::size_t j = 0; j <= l; ++j) rows[i][j] -= part * rows[l][j];
    }
    const long double length = std::sqrt(along(rows[i], rows[i]));
    for (auto& value : rows[i]) value /= length;
  }
  return rows;
}

// Small matrices here have entries and conditions of at most some ten: rounding is far below, mistakes are far above.
inline constexpr long double kClose = 1e-12L;

template <class C>
class BlockGradientTest : public KernelTest<C> {
 protected:
  using Number = typename C::Number;

  void set_up(Index m, Index k, Index width) {
    const Index wide = BlockGradientState::kKeptSteps * width, largest = std::max(m, k) * std::max({m, k, wide});
    state_.rank = m;
    state_.columns = k;
    state_.kept_width = width;
    state_.least = 1e-7;
    doubles_.clear();
    for (double** to : {&state_.coefficients, &state_.curvature, &state_.lengths, &state_.gram, &state_.work, &state_.factor,
                        &state_.inverse, &state_.step, &state_.to_corrections, &state_.to_block, &state_.norms, &state_.targets})
      *to = doubles(std::vector<double>(static_cast<std::size_t>(largest)));
    state_.kept_inverses = doubles(std::vector<double>(static_cast<std::size_t>(wide * width)));
    state_.quotients = doubles({INFINITY, -INFINITY});
    integers_.clear();
    for (std::int32_t** to : {&state_.status, &state_.iterations}) *to = integers(std::vector<std::int32_t>(static_cast<std::size_t>(k)));
    for (std::int32_t** to : {&state_.kept, &state_.moves}) *to = integers({0});
  }
  void set(double* to, const Matrix& values) {
    const std::vector<double> host = flat(values);
    this->device().copy_to_device(to, host.data(), host.size() * sizeof(double));
  }
  Matrix get(const double* from, Index rows, Index columns) {
    std::vector<double> host(static_cast<std::size_t>(rows * columns));
    this->device().copy_to_host(host.data(), from, host.size() * sizeof(double));
    return unflat(host, columns);
  }
  std::vector<std::int32_t> get(const std::int32_t* from, Index count) {
    std::vector<std::int32_t> host(static_cast<std::size_t>(count));
    this->device().copy_to_host(host.data(), from, host.size() * sizeof(host[0]));
    return host;
  }
  Matrix random(Index rows, Index columns) {
    Matrix a = zeros(rows, columns);
    for (auto& row : a)
      for (auto& value : row) value = static_cast<double>(random_() % 2001) / 1000 - 1;
    return a;
  }
  /// G Gᵀ + I: condition of some ten.
  Matrix definite(Index m) {
    const Matrix g = random(m, m);
    Matrix a = times(g, transposed(g));
    for (std::size_t i = 0; i < a.size(); ++i) a[i][i] += 1;
    return unflat(flat(a), m);
  }

  BlockGradientState state_;

 private:
  double* doubles(const std::vector<double>& values) {
    doubles_.push_back(std::make_unique<Guarded<double>>(this->device(), values));
    return doubles_.back()->data();
  }
  std::int32_t* integers(const std::vector<std::int32_t>& values) {
    integers_.push_back(std::make_unique<Guarded<std::int32_t>>(this->device(), values));
    return integers_.back()->data();
  }
  std::mt19937 random_{3};
  std::vector<std::unique_ptr<Guarded<double>>> doubles_;
  std::vector<std::unique_ptr<Guarded<std::int32_t>>> integers_;

 protected:
  void TearDown() override {  // whose guards are looked at
    for (const auto& values : doubles_) values->to_host();
    for (const auto& values : integers_) values->to_host();
  }
};

}  // namespace clout::test
