// block_step, block_keep, block_along, block_basis, block_advance: what is small in block conjugate gradients, against the
// definitions in long double.

#include "block_gradient_case.hpp"

namespace clout::test {
namespace {

TYPED_TEST_SUITE(BlockGradientTest, Cases, CaseName);

const std::vector<std::pair<Index, Index>> kSizes = {{1, 1}, {5, 7}, {kSmall ? 6 : 32, kSmall ? 3 : 32}};

TYPED_TEST(BlockGradientTest, AStepIsAlpha) {
  for (const auto& [m, k] : kSizes) {
    this->set_up(m, k, m + 1);
    BlockGradientState& s = this->state_;
    const Matrix curvature = this->definite(m), c = this->random(m, k), along = this->random(m, m);
    Matrix lengths = this->definite(m);
    this->set(s.curvature, curvature);
    this->set(s.lengths, lengths);
    this->set(s.coefficients, c);
    this->set(s.gram, along);
    this->kernels().block_step(this->device(), s);
    const Matrix to_block = this->get(s.to_block, m, m);  // −(α PᵀQ)ᵀ
    Matrix nothing = times(curvature, transposed(to_block));
    for (std::size_t i = 0; i < nothing.size(); ++i)
      for (std::size_t j = 0; j < nothing.size(); ++j) nothing[i][j] += along[i][j];
    EXPECT_LE(distance(nothing, zeros(m, m)), kClose * 100) << m;
    Matrix corrections = times(transposed(c), to_block);
    for (auto& row : corrections)
      for (auto& value : row) value = -value;
    EXPECT_LE(distance(this->get(s.to_corrections, k, m), corrections), kClose) << m;
    EXPECT_EQ(this->get(s.moves, 1), std::vector<std::int32_t>{1});
    EXPECT_EQ(this->get(s.iterations, k), std::vector<std::int32_t>(static_cast<std::size_t>(k), 1));
    // Of the directions, made orthonormal one after the other.
    const Matrix basis = inverse_factor(lengths), of_basis = times(times(basis, curvature), transposed(basis));
    long double smallest = INFINITY, largest = -INFINITY;
    for (std::size_t i = 0; i < curvature.size(); ++i) {
      smallest = std::fmin(smallest, of_basis[i][i]);
      largest = std::fmax(largest, of_basis[i][i]);
    }
    EXPECT_LE(distance(this->get(s.quotients, 1, 2), {{smallest, largest}}), kClose);
    // α is kept in the first slot, whose last row and column stay zeros.
    Matrix wide = zeros(m + 1, m + 1);
    for (std::size_t i = 0; i < curvature.size(); ++i) std::copy(curvature[i].begin(), curvature[i].end(), wide[i].begin());
    Matrix one = times(this->get(s.kept_inverses, m + 1, m + 1), wide);
    for (std::size_t i = 0; i < curvature.size(); ++i) one[i][i] -= 1;
    EXPECT_LE(distance(one, zeros(m + 1, m + 1)), kClose * 100) << m;
  }
}

TYPED_TEST(BlockGradientTest, DirectionsThatAreZeroTakeNoPart) {
  this->set_up(4, 2, 4);
  BlockGradientState& s = this->state_;
  Matrix curvature = this->definite(4), lengths = this->definite(4);
  for (std::size_t i = 0; i < 4; ++i) curvature[i][2] = curvature[2][i] = lengths[i][2] = lengths[2][i] = 0;
  this->set(s.curvature, curvature);
  this->set(s.lengths, lengths);
  this->set(s.coefficients, this->random(4, 2));
  Matrix unit = zeros(4, 4);
  for (std::size_t i = 0; i < 4; ++i) unit[i][i] = 1;
  this->set(s.gram, unit);
  this->kernels().block_step(this->device(), s);
  Matrix product = times(this->get(s.to_block, 4, 4), curvature);
  for (const std::size_t i : {0, 1, 3}) product[i][i] += 1;
  EXPECT_LE(distance(product, zeros(4, 4)), kClose);
  EXPECT_EQ(this->get(s.moves, 1), std::vector<std::int32_t>{1});
}

// The curvature of a direction that others hold is rounding, and may well be negative.
TYPED_TEST(BlockGradientTest, DirectionsThatDependOnOthersTakeNoPart) {
  this->set_up(4, 2, 4);
  BlockGradientState& s = this->state_;
  const Matrix hessian = this->definite(6), basis = this->random(4, 6);
  Matrix directions = this->random(4, 6);
  for (std::size_t j = 0; j < 6; ++j) directions[2][j] = 100 * directions[0][j] - 3 * directions[1][j];
  Matrix curvature = times(times(directions, hessian), transposed(directions));
  const Matrix lengths = times(directions, transposed(directions)), along = times(directions, transposed(basis));
  curvature[2][2] *= 1 - 1e-14L;
  this->set(s.curvature, curvature);
  this->set(s.lengths, lengths);
  this->set(s.coefficients, this->random(4, 2));
  this->set(s.gram, along);
  this->kernels().block_step(this->device(), s);
  ASSERT_EQ(this->get(s.moves, 1), std::vector<std::int32_t>{1});
  const Matrix left = times(curvature, transposed(this->get(s.to_block, 4, 4)));  // what Q − W α has along P is nothing
  Matrix nothing = zeros(4, 4);
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) nothing[i][j] = left[i][j] + along[i][j];
  EXPECT_LE(distance(nothing, zeros(4, 4)), kClose * 1e4);  // entries of a hundred, and of H of some ten
  const Matrix alpha = this->get(s.kept_inverses, 4, 4);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(alpha[i][2], 0) << i;
}

// Where H is singular, rounding along its null space becomes a direction. It is left out while it is small in all that columns
// lack; where one needs it, it is used if its curvature is positive, however little, and refused if not.
TYPED_TEST(BlockGradientTest, FlatDirectionsTakePartWhereNeeded) {
  const auto step = [&](long double flat, long double part) {
    this->set_up(3, 2, 3);
    BlockGradientState& s = this->state_;
    const Matrix unit{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    this->set(s.curvature, {{2, 1, 0}, {1, 2 + flat, 1 + flat}, {0, 1 + flat, 2 / 3.0L + flat}});  // flat along the last pivot
    this->set(s.lengths, unit);
    this->set(s.gram, unit);
    // The flat direction is e₃ − 2/3 e₂ + 1/3 e₁: what columns have along it is `part`, whatever else they have.
    this->set(s.coefficients, {{2, 1}, {3, 0.5L}, {4 / 3.0L + part, 0}});
    this->set(s.targets, {{1e-6L, 1e-6L}});
    this->kernels().block_step(this->device(), s);
    return this->get(s.moves, 1)[0];
  };
  const auto alpha = [&] { return this->get(this->state_.kept_inverses, 3, 3)[2][2]; };
  for (const long double flat : {-1e-12L, 0.0L, 1e-12L}) {
    EXPECT_EQ(step(flat, 1e-9L), 1) << static_cast<double>(flat);
    EXPECT_EQ(alpha(), 0) << static_cast<double>(flat);
  }
  EXPECT_EQ(step(1e-9L, 1e-2L), 1);
  EXPECT_GT(alpha(), 1e7L);
  EXPECT_EQ(step(-1e-9L, 1e-2L), 0);
  EXPECT_EQ(step(-1e-3L, 1e-9L), 0);  // no rounding
}

TYPED_TEST(BlockGradientTest, WithoutPositiveCurvatureNothingMoves) {
  for (const long double value : {-3.0L, 0.0L, static_cast<long double>(NAN)}) {
    this->set_up(3, 3, 3);
    BlockGradientState& s = this->state_;
    Matrix curvature = this->definite(3);
    curvature[1][1] = value;
    this->set(s.curvature, curvature);
    this->set(s.lengths, this->definite(3));
    this->set(s.coefficients, this->random(3, 3));
    const std::vector<std::int32_t> status{0, 1, 0};
    this->device().copy_to_device(s.status, status.data(), 12);
    this->kernels().block_step(this->device(), s);
    EXPECT_EQ(this->get(s.to_block, 3, 3), zeros(3, 3));
    EXPECT_EQ(this->get(s.to_corrections, 3, 3), zeros(3, 3));
    EXPECT_EQ(this->get(s.moves, 1), std::vector<std::int32_t>{0});
    EXPECT_EQ(this->get(s.iterations, 3), std::vector<std::int32_t>(3, 0));
    const auto negative = static_cast<std::int32_t>(ColumnStatus::negative_curvature);
    EXPECT_EQ(this->get(s.status, 3), (std::vector<std::int32_t>{negative, 1, negative}));
  }
  // Nor where no column runs.
  this->set_up(3, 1, 3);
  const std::int32_t converged = 1;
  this->device().copy_to_device(this->state_.status, &converged, 4);
  this->set(this->state_.curvature, this->definite(3));
  this->set(this->state_.lengths, this->definite(3));
  this->set(this->state_.coefficients, this->random(3, 1));
  this->kernels().block_step(this->device(), this->state_);
  EXPECT_EQ(this->get(this->state_.to_block, 3, 3), zeros(3, 3));
  EXPECT_EQ(this->get(this->state_.status, 1), std::vector<std::int32_t>{1});
}

TYPED_TEST(BlockGradientTest, DirectionsAreKeptWhileThereIsRoom) {
  using T = typename TypeParam::Number;
  const Index m = 3, width = 4, p = kSmall ? 70 : 1001, slots = BlockGradientState::kKeptSteps;
  this->set_up(m, m, width);
  std::vector<T> p_host, w_host;
  for (Index i = 0; i < m * p; ++i) p_host.push_back(static_cast<T>(i + 1)), w_host.push_back(static_cast<T>(-i - 1));
  const auto p_memory = this->upload(p_host), w_memory = this->upload(w_host);
  Guarded<T> kept_p(this->device(), std::vector<T>(static_cast<std::size_t>(slots * width * p)));
  Guarded<T> kept_w(this->device(), std::vector<T>(static_cast<std::size_t>(slots * width * p)));
  const auto keep = [&](std::int32_t kept, std::int32_t moves, Index w) {
    this->state_.kept_width = w;
    this->device().copy_to_device(this->state_.kept, &kept, 4);
    this->device().copy_to_device(this->state_.moves, &moves, 4);
    this->kernels().block_keep(this->device(), {p_memory.view(m, p), w_memory.view(m, p), kept_p.view(slots * width, p),
                                                kept_w.view(slots * width, p), this->state_});
  };
  keep(2, 0, width);                 // no step
  keep(static_cast<std::int32_t>(slots), 1, width);  // no slot
  keep(0, 1, 2);                     // slots too small
  EXPECT_EQ(kept_p.to_host(), std::vector<T>(static_cast<std::size_t>(slots * width * p)));
  keep(2, 1, width);
  std::vector<T> expected(static_cast<std::size_t>(slots * width * p));
  std::copy(p_host.begin(), p_host.end(), expected.begin() + 2 * width * p);
  EXPECT_EQ(kept_p.to_host(), expected);
  std::fill(expected.begin(), expected.end(), T(0));
  std::copy(w_host.begin(), w_host.end(), expected.begin() + 2 * width * p);
  EXPECT_EQ(kept_w.to_host(), expected);
}

TYPED_TEST(BlockGradientTest, PartsAlongKeptDirections) {
  for (const auto& [m, k] : kSizes) {
    const Index width = kSmall ? 2 : m, slots = BlockGradientState::kKeptSteps, all = slots * width;
    this->set_up(m, k, width);
    BlockGradientState& s = this->state_;
    const Matrix gram = this->random(m, all), inverses = this->random(all, width), c = this->random(m, k);
    this->set(s.gram, gram);
    this->set(s.kept_inverses, inverses);
    this->set(s.coefficients, c);
    this->kernels().block_along(this->device(), s);
    Matrix along = zeros(m, all);
    for (Index i = 0; i < m; ++i)
      for (Index at = 0; at < all; ++at)
        for (Index l = 0; l < width; ++l)
          along[static_cast<std::size_t>(i)][static_cast<std::size_t>(at)] -=
              gram[static_cast<std::size_t>(i)][static_cast<std::size_t>(at / width * width + l)] *
              inverses[static_cast<std::size_t>(at / width * width + l)][static_cast<std::size_t>(at % width)];
    EXPECT_LE(distance(this->get(s.to_block, m, all), along), kClose);
    Matrix corrections = times(transposed(c), along);
    for (auto& row : corrections)
      for (auto& value : row) value = -value;
    EXPECT_LE(distance(this->get(s.to_corrections, k, all), corrections), kClose * 10);
  }
}

// Rows that depend on each other become an orthonormal basis with as many zeros, and everything follows.
TYPED_TEST(BlockGradientTest, TwoPassesMakeABasis) {
  for (const auto& [m, k] : kSizes) {
    this->set_up(m, k, m);
    BlockGradientState& s = this->state_;
    Matrix rows = this->random(m, 40), c = this->random(m, k);
    const bool is_deficient = m > 3;
    if (is_deficient)
      for (std::size_t i = 0; i < 40; ++i) rows[3][i] = rows[0][i] - 2 * rows[2][i];
    this->set(s.coefficients, c);
    const auto gram_of = [&](const Matrix& a) { this->set(s.gram, times(a, transposed(a))); };
    gram_of(rows);
    this->kernels().block_basis(this->device(), s);
    const Matrix first = times(this->get(s.inverse, m, m), rows);
    gram_of(first);
    const std::int32_t moves = 1;
    this->device().copy_to_device(s.moves, &moves, 4);
    const Matrix targets(1, std::vector<long double>(static_cast<std::size_t>(k), 1e9L));
    this->set(s.targets, targets);
    this->kernels().block_advance(this->device(), s);
    const Matrix basis = times(this->get(s.inverse, m, m), first), step = this->get(s.step, m, m);

    Matrix one = times(basis, transposed(basis));
    for (Index i = 0; i < m; ++i) one[static_cast<std::size_t>(i)][static_cast<std::size_t>(i)] -= is_deficient && i == 3 ? 0 : 1;
    EXPECT_LE(distance(one, zeros(m, m)), kClose);
    EXPECT_LE(distance(times(transposed(step), basis), rows), kClose * 100);
    const Matrix after = times(step, c);
    EXPECT_LE(distance(this->get(s.coefficients, m, k), after), kClose * 10);
    const auto norms = this->get(s.norms, 1, k)[0];
    for (std::size_t j = 0; j < norms.size(); ++j) {
      long double squares = 0;
      for (const auto& row : after) squares += row[j] * row[j];
      EXPECT_NEAR(static_cast<double>(norms[j]), static_cast<double>(std::sqrt(squares)), 1e-10);
    }
    EXPECT_EQ(this->get(s.status, k), std::vector<std::int32_t>(static_cast<std::size_t>(k), 1));
    EXPECT_EQ(this->get(s.kept, 1), std::vector<std::int32_t>{1});
  }
}

// Rounding that the first pass took for a vector has lost its length, or its independence, in the second.
TYPED_TEST(BlockGradientTest, RoundingIsNoVectorOfTheBasis) {
  for (const Matrix& second : {Matrix{{1, 0, 0.1L}, {0, 1, 0}, {0.1L, 0, 0.011L}}, Matrix{{1, 0.3L, 0}, {0.3L, 1, 0}, {0, 0, 1e-4L}}}) {
    this->set_up(3, 1, 3);
    BlockGradientState& s = this->state_;
    this->set(s.coefficients, {{1}, {1}, {1}});
    this->set(s.gram, {{1, 0, 0}, {0, 1, 0}, {0, 0, 1e-13L}});
    this->kernels().block_basis(this->device(), s);
    this->set(s.gram, second);
    this->kernels().block_advance(this->device(), s);
    EXPECT_EQ(this->get(s.step, 3, 3)[2][2], 0);
    EXPECT_EQ(this->get(s.inverse, 3, 3)[2], std::vector<long double>(3, 0));
    EXPECT_GT(this->get(s.step, 3, 3)[1][1], 0.9L);
  }
}

TYPED_TEST(BlockGradientTest, ColumnsAreJudgedByTheirNorms) {
  this->set_up(1, 4, 1);
  BlockGradientState& s = this->state_;
  this->set(s.coefficients, {{3, 0.5L, 3, 0.25L}});
  this->set(s.targets, {{1, 1, 1, 0.125L}});
  const std::vector<std::int32_t> status{0, 0, 2, 0};
  this->device().copy_to_device(s.status, status.data(), 16);
  const auto advance = [&](long double squares) {
    this->set(s.gram, {{squares}});
    this->kernels().block_basis(this->device(), s);
    this->set(s.gram, {{1}});
    this->kernels().block_advance(this->device(), s);
    return this->get(s.status, 4);
  };
  EXPECT_EQ(advance(1), (std::vector<std::int32_t>{0, 1, 2, 0}));
  const auto not_finite = static_cast<std::int32_t>(ColumnStatus::not_finite);
  EXPECT_EQ(advance(NAN), (std::vector<std::int32_t>{not_finite, 1, 2, not_finite}));
}

}  // namespace
}  // namespace clout::test
