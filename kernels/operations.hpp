#pragma once
// The contract of every operation on the kernel table: one plain struct each, every field with its shape and meaning.
// All pointers are device memory. Views of results never overlap operands unless the comment says so.
// "Example weights" w may be null (all 1). `scratch` must hold what the operation's `*_scratch` entry asks for.
// Notation as in math.md: n examples, d features, K classes, k tangents (or parameter vectors), p parameters.

#include <clout/kernels/matrix_view.hpp>
#include <clout/kernels/philox.hpp>
#include <span>

namespace clout {

/// Feature matrix X, [n][d], stored as T or as bytes; the value meant is scale · stored (bytes: usually 1/255).
/// Exactly one of the pointers is set. Rows are contiguous.
template <class T>
struct FeatureView {
  const T* values = nullptr;
  const std::uint8_t* bytes = nullptr;
  Index rows = 0;     // n
  Index columns = 0;  // d
  T scale = 1;

  constexpr T operator()(Index row, Index column) const {
    const Index at = row * columns + column;
    return scale * (bytes ? static_cast<T>(bytes[at]) : values[at]);
  }
  constexpr FeatureView rows_from(Index first, Index count) const {
    return {values ? values + first * columns : nullptr, bytes ? bytes + first * columns : nullptr, count, columns, scale};
  }
};

/// Lines of a matrix of which only the numbers that are not zero are stored: line l has the entries starts[l] …
/// starts[l + 1] − 1, ascending by place. Of each pair of pointers one is set, or none where there are no entries.
template <class T>
struct SparseLines {
  const Index* starts = nullptr;          // [lines + 1]; null: no such storage
  const std::uint16_t* narrow = nullptr;  // [entries] where in its line a number stands
  const std::uint32_t* wide = nullptr;    // [entries] the same, for lines longer than 65,536
  const T* values = nullptr;              // [entries]
  const std::uint8_t* bytes = nullptr;    // [entries]
};

/// Rows of a block of SparseFeatures; of a thin X, in which few rows have anything in one column, on the CPU.
inline constexpr Index kSparseBlockRows = 256, kThinBlockRows = 4096;

/// X without its zeros (SparseStorage makes it): by rows, for Z = X Vᵀ, and by columns of blocks of rows, for G = Rᵀ X.
/// Scale and sizes are the FeatureView's.
template <class T>
struct SparseFeatures {
  SparseLines<T> rows;     // [n] lines, places are columns
  SparseLines<T> columns;  // [blocks][d] lines, places are rows of the block
  Index block_rows = kSparseBlockRows;

  constexpr bool is_given() const { return rows.starts != nullptr; }
  /// For products with X alone, not with Xᵀ: the rows from `first` on.
  constexpr SparseFeatures rows_from(Index first) const {
    SparseFeatures some = *this;
    some.rows.starts += first;
    some.columns = {};
    return some;
  }
};

/// Parameters of a linear layer as one flat vector: weights [K][d], then, with a bias, [K].
struct LinearShape {
  Index features = 0;  // d
  Index classes = 0;   // K
  bool bias = false;

  constexpr Index weights() const { return classes * features; }
  constexpr Index parameters() const { return classes * (features + (bias ? 1 : 0)); }
  /// The weights.
  constexpr ParameterRanges regularized() const {
    ParameterRanges ranges;
    ranges.add(0, weights());
    return ranges;
  }
};

/// Entries (row, vector) that a sweep leaves out: example `rows[e]` does not count for vector `vectors[e]`.
/// Sorted by row, then vector, without repeats. Both arrays are device memory, [count].
struct Exclusions {
  const Index* rows = nullptr;
  const std::int32_t* vectors = nullptr;
  Index count = 0;
};

/// A = X Vᵀ + b for k parameter (or tangent) vectors.  2ndKk flops (sparse: entries instead of nd).
template <class T>
struct LinearForward {
  FeatureView<T> features;        // [n][d]; with `sparse`, its pointers are not read
  LinearShape shape;
  MatrixView<const T> vectors;    // [k][p]
  MatrixView<T> outputs;          // [n][k·K], vector after vector
  SparseFeatures<T> sparse = {};  // the same X without its zeros, or not given
};

/// p = softmax(a), ℓ = logsumexp(a) − a_y, for each row and each of k parameter vectors. Stable for |a| up to the
/// range of T: the largest logit is subtracted first.
template <class T>
struct SoftmaxCrossEntropy {
  MatrixView<const T> logits;            // [n][k·K]
  Index classes = 0;                     // K
  const std::int32_t* labels = nullptr;  // [n], 0…K−1; may be null where losses is
  MatrixView<T> probabilities;           // [n][k·K] or null; may be the same memory as logits
  MatrixView<T> losses;                  // [n][k] or null
};

/// R{δ} = P ∘ (A − (P·A)1), row by row and tangent by tangent (math.md, softmax cross-entropy).
/// 5nkK flops; reads nK + nkK, writes nkK numbers: bound by memory.
template <class T>
struct SoftmaxTangent {
  MatrixView<const T> probabilities;   // [n][K]
  MatrixView<const T> logit_tangents;  // [n][k·K]
  MatrixView<T> residual_tangents;     // [n][k·K]; may be the same memory as logit_tangents
};

/// R{ℓ} = (p − e_y)·R{a}: the tangent of every example's loss.  3nkK flops.
template <class T>
struct SoftmaxLossTangent {
  MatrixView<const T> probabilities;     // [n][K]
  const std::int32_t* labels = nullptr;  // [n]
  MatrixView<const T> logit_tangents;    // [n][k·K]
  MatrixView<T> loss_tangents;           // [n][k]
};

/// What a LinearSweep does between its two products, row by row and vector by vector, with z = X vⱼ (+ bias):
enum class SweepStep {
  gradient,    ///< r = softmax(z) − e_y          (vectors are parameters)
  tangent,     ///< r = p ∘ (z − (p·z)1)          (vectors are tangents: the Hessian product)
  difference,  ///< r = softmax(a + z) − softmax(a) = p ∘ (e − s)/(1 + s), e = expm1(z), s = p·e (vectors are θ − θ̂)
  scaled,      ///< r = p ∘ z, with any p: the Hessian product of a loss of each output by itself
  given,       ///< r is given, for each vector its own; z is not computed, and vectors are not read
};

/// out_j = scale · Σᵢ wᵢ rᵢⱼ ⊗ (xᵢ, 1): the gradient, the Hessian product or the gradient's difference of a linear
/// model, without regulariser. X is read once. 4ndKk flops (sparse: entries instead of nd). Sums run over partitions
/// of rows that depend on n alone and are added in fixed order: the same bits whatever the number of threads.
template <class T>
struct LinearSweep {
  SweepStep step = SweepStep::tangent;
  FeatureView<T> features;                // [n][d]; with `sparse`, its pointers are not read
  SparseFeatures<T> sparse;               // the same X without its zeros, or not given
  LinearShape shape;
  MatrixView<const T> vectors;            // [k][p]
  MatrixView<const T> probabilities;      // [n][K]; tangent, difference and scaled
  MatrixView<const T> residuals;          // [n][k·K] r, vector after vector; given
  const std::int32_t* labels = nullptr;   // [n]; gradient
  const T* example_weights = nullptr;     // [n] or null
  Exclusions exclusions;
  T scale = 1;                            // 1/W
  MatrixView<T> out;                      // [k][p], overwritten
  std::span<std::byte> scratch;
};

/// out_m = c_m ⊗ (x_{i_m}, 1): gradients of single examples from their residuals (δ = p − e_y gives ∇θℓ).
template <class T>
struct ExampleGradients {
  FeatureView<T> features;               // [n][d]
  LinearShape shape;
  const Index* rows = nullptr;           // [m], in 0…n−1
  MatrixView<const T> residuals;         // [m][K]
  MatrixView<T> out;                     // [m][p], overwritten
};

/// ∇ₓ(vⱼ·∇θℓᵢ) = V_Wᵀ δ + Wᵀ R{δ}  with δ = p − e_y (or p where there are no labels), R{δ} from SoftmaxTangent.  4ndKk flops.
template <class T>
struct LinearInputGradient {
  LinearShape shape;
  MatrixView<const T> parameters;         // [1][p]
  MatrixView<const T> vectors;            // [k][p]
  MatrixView<const T> probabilities;      // [n][K]
  const std::int32_t* labels = nullptr;   // [n] or null
  MatrixView<const T> residual_tangents;  // [n][k·K]
  MatrixView<T> out;                      // [k][n·d]: row j holds [n][d]
};

/// rows[s][i]: minibatches drawn with replacement from 0…population−1, draw number first_draw + i of the generator's sequence
/// first_sequence + s (philox_below): the same numbers on every backend.
struct SampleRows {
  std::uint64_t seed = 0;
  RandomStream stream = RandomStream::minibatches;
  std::uint64_t first_sequence = 0;
  std::uint64_t first_draw = 0;
  Index population = 0;
  Index sequences = 0;    // s
  Index count = 0;        // examples of a minibatch
  Index* rows = nullptr;  // [s][count]
};

/// What a sweep over a minibatch reads, example after example: rows of X as they are stored, and what goes with them. Bound
/// by memory.
template <class T>
struct GatherExamples {
  FeatureView<T> features;             // [n][d]
  MatrixView<const T> probabilities;   // [n][K]
  const T* example_weights = nullptr;  // [n] or null
  const Index* rows = nullptr;         // [m], in 0…n−1
  Index count = 0;                     // m
  T* values = nullptr;                 // [m][d] where X is stored as T, else null
  std::uint8_t* bytes = nullptr;       // [m][d] where X is stored as bytes, else null
  MatrixView<T> out_probabilities;     // [m][K]
  T* out_weights = nullptr;            // [m], where there are weights
};

/// The explicit Hessian of softmax regression without regulariser, scale · Σ wᵢ (diag pᵢ − pᵢpᵢᵀ) ⊗ (xᵢ,1)(xᵢ,1)ᵀ, from
/// K(K−1)/2 weighted SYRKs: blocks c ≠ c′ directly, H_cc = −Σ_{c′≠c} H_cc′.  K(K−1)/2 · n d(d+1) flops.
template <class T>
struct SoftmaxHessian {
  FeatureView<T> features;             // [n][d]; with `sparse`, its pointers are not read
  SparseFeatures<T> sparse;            // the same X without its zeros, or not given; a GPU does not take it
  LinearShape shape;
  MatrixView<const T> probabilities;   // [n][K]
  const T* example_weights = nullptr;  // [n] or null; not negative
  T scale = 1;                         // 1/W
  MatrixView<T> out;                   // [p][p], both triangles, overwritten; contiguous
  std::span<std::byte> scratch;
};

/// M_i[c][c′] = (e_c ⊗ x′ᵢ)ᵀ A (e_c′ ⊗ x′ᵢ), x′ᵢ = (xᵢ, 1): what a symmetric matrix A on parameters is on the logits of
/// example i. With A = H⁻¹, Mᵢ is the example's leverage.  K(K+1) n d² flops.
template <class T>
struct LinearLeverages {
  FeatureView<T> features;        // [n][d]; with `sparse`, its pointers are not read
  LinearShape shape;
  MatrixView<const T> matrix;     // [p][p], symmetric
  MatrixView<T> out;              // [n][K·K], both triangles
  SparseFeatures<T> sparse = {};  // rows of the same X without its zeros, or not given; a GPU does not take it
  std::span<std::byte> scratch = {};
};

/// y ← y + l2 · x where the regulariser acts, y ← y + damping · x on all parameters.
template <class T>
struct AddRegularizer {
  ParameterRanges regularized;
  double l2 = 0;
  double damping = 0;
  MatrixView<const T> x;  // [k][p]
  MatrixView<T> y;        // [k][p]
};

/// diagonal ← diagonal + l2 (where the regulariser acts) + damping (all).
template <class T>
struct AddDiagonal {
  ParameterRanges regularized;
  double l2 = 0;
  double damping = 0;
  MatrixView<T> matrix;  // [p][p]
};

/// One step of Adam (Kingma & Ba 2015) in TensorFlow's form for k models, with g = gradient + l2 · θ where the regulariser
/// acts: m ← β₁m + (1−β₁)g, u ← β₂u + (1−β₂)g², θ ← θ − step_size · m/(√u + ε); step_size = lr · √(1−β₂ᵗ)/(1−β₁ᵗ).
template <class T>
struct AdamStep {
  ParameterRanges regularized;
  double l2 = 0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  const double* step_size = nullptr;  // [1]
  MatrixView<const T> gradients;      // [k][p]
  MatrixView<T> first_moments;        // [k][p] m, in place
  MatrixView<T> second_moments;       // [k][p] u, in place
  MatrixView<T> parameters;           // [k][p] θ, in place
};

/// One step of LiSSA (Agarwal, Bullins & Hazan 2016) for r repeats of k right-hand sides, repeat after repeat, with q = H_B s
/// the products of their minibatches: s ← s + (v − q − l2 · s (where the regulariser acts) − damping · s)/scale.
template <class T>
struct LissaStep {
  ParameterRanges regularized;
  double l2 = 0;
  double damping = 0;
  double scale = 1;                     // σ
  MatrixView<const T> right_hand_sides; // [k][p] v
  MatrixView<const T> products;         // [r·k][p] q
  MatrixView<T> estimates;              // [r·k][p] s, in place
  MatrixView<T> sums;                   // [r·k][p] or null; s is added
};

/// y_j ← a · x_j + b · y_j. With b = 0, y is not read (it may be uninitialised). x may be null where a = 0.
template <class T>
struct Combine {
  double a = 1;
  MatrixView<const T> x;  // [k][p]
  double b = 0;
  MatrixView<T> y;        // [k][p]
};

/// dots[j] = x_j · y_j, products and sums in double, in a fixed order.
template <class T>
struct VectorDots {
  MatrixView<const T> x;  // [k][p]
  MatrixView<const T> y;  // [k][p]
  double* dots = nullptr; // [k]
};

/// Between T and double, rounding to nearest.
template <class T>
struct ToDouble {
  MatrixView<const T> from;  // [k][p]
  MatrixView<double> to;     // [k][p]
};
template <class T>
struct FromDouble {
  MatrixView<const double> from;  // [k][p]
  MatrixView<T> to;               // [k][p]
};

/// State of one column (right-hand side) of a solve; the values are stored in device memory as int32.
enum class ColumnStatus : std::int32_t {
  running = 0,
  converged = 1,
  negative_curvature = 2,  ///< pᵀ(H + damping·I)p ≤ 0 was met
  stagnated = 3,           ///< the true residual stopped falling above the tolerance
  iteration_limit = 4,
  not_finite = 5,          ///< NaN or infinity in the right-hand side or on the way
  diverged = 6,            ///< steps on minibatches grew beyond any solution
};

/// The state of k conjugate-gradient solves that run side by side; all scalars on the device, in double.
/// Columns whose status is not `running` are frozen: their x, r, p, scalars and counters do not change any more.
///
/// A column's first directions may be kept, to which all later ones are then made conjugate again and residuals orthogonal:
/// what rounding brings back of the largest eigenvalues would have to be solved for once more.
template <class T>
struct ConjugateGradientState {
  static constexpr Index kKept = 16;   // directions at most
  MatrixView<T> x, r, p, q;            // [k][p] solution, residual, direction, q = (H + damping·I) p
  MatrixView<T> z;                     // [k][p] P⁻¹r, given before start and direct; without rows: r itself
  double* rho = nullptr;               // [k] rᵀz
  double* squares = nullptr;           // [k] rᵀr; null where there is no z
  double* target = nullptr;            // [k] converged when √(rᵀr) ≤ target
  double* curvature = nullptr;         // [k] last pᵀq
  double* smallest_rayleigh = nullptr; // [k] least pᵀq / pᵀp so far (+∞ before the first)
  std::int32_t* status = nullptr;      // [k] ColumnStatus
  std::int32_t* iterations = nullptr;  // [k]
  double* alpha_history = nullptr;     // [max_iterations][k]
  double* beta_history = nullptr;      // [max_iterations][k]
  Index max_iterations = 0;
  T* kept_p = nullptr;                 // [k][kKept][p] p_i; null: none are kept
  T* kept_q = nullptr;                 // [k][kKept][p] q_i = (H + damping·I) p_i
  double* kept_curvature = nullptr;    // [k][kKept] p_iᵀq_i
  std::int32_t* kept = nullptr;        // [k] how many there are, set by the caller before the first start
};

/// Cholesky factor of a symmetric positive definite matrix, in place (the lower triangle in row-major order).
/// `failed_at` (host) becomes 0, or the order of the first leading minor that is not positive definite.
template <class T>
struct CholeskyFactor {
  MatrixView<T> matrix;  // [p][p], contiguous
  Index* failed_at = nullptr;
};

/// Solves with the factor for k right-hand sides, in place.  2p²k flops.
template <class T>
struct CholeskySolve {
  MatrixView<const T> factor;  // [p][p]
  MatrixView<T> vectors;       // [k][p], contiguous
};

/// All eigenvalues of a symmetric matrix, ascending; the matrix is destroyed.
template <class T>
struct SymmetricEigenvalues {
  MatrixView<T> matrix;  // [p][p], contiguous
  T* values = nullptr;   // [p]
};

}  // namespace clout
