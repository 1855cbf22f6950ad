#include <algorithm>
#include <clout/host/cli/output.hpp>
#include <clout/host/io/npy.hpp>
#include <cmath>
#include <cstdio>
#include <new>

namespace clout::cli {

namespace fs = std::filesystem;

std::string number_text(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

void warn(const std::string& message) { std::fprintf(stderr, "clout: warning: %s\n", message.c_str()); }

void print_facts(const Options& options, const nlohmann::ordered_json& facts) {
  if (options.json) {
    std::printf("%s\n", facts.dump(2).c_str());
    return;
  }
  if (options.quiet) return;
  std::size_t width = 0;
  for (const auto& [key, value] : facts.items()) width = std::max(width, key.size());
  for (const auto& [key, value] : facts.items()) {
    if (value.is_structured()) continue;  // lists and objects are for --json and the files
    std::string text = value.is_string() ? value.get<std::string>()
                       : value.is_number_float() ? number_text(value.get<double>(), 8)
                                                 : value.dump();
    std::string label = key;
    for (char& c : label)
      if (c == '_') c = ' ';
    std::printf("%-*s  %s\n", static_cast<int>(width), label.c_str(), text.c_str());
  }
}

namespace {

/// JSON has no NaN or infinity: what is not known is null.
nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

nlohmann::ordered_json lissa_facts(const SolveReport& report) {
  if (!report.lissa) return nlohmann::ordered_json::object();
  const LissaReport& lissa = *report.lissa;
  double spread = 0;
  for (const ColumnReport& column : report.columns) spread = std::fmax(spread, column.spread);
  return {{"published", lissa.published},
          {"scale", lissa.scale},
          {"depth", lissa.depth},
          {"batch_size", lissa.batch},
          {"repeats", lissa.repeats},
          {"scale_doublings", lissa.doublings},
          {"steps", lissa.steps},
          {"data_passes", lissa.passes},
          {"max_spread", number(spread)},
          {"damping_as_published", report.damping / lissa.scale},
          {"largest_eigenvalue", number(lissa.largest_eigenvalue)},
          {"smallest_eigenvalue", number(lissa.smallest_eigenvalue)},
          {"example_trace", number(lissa.example_trace)}};
}

nlohmann::ordered_json to_json(const SolveReport& report) {
  nlohmann::ordered_json columns = nlohmann::ordered_json::array();
  for (const ColumnReport& column : report.columns) {
    columns.push_back({{"status", to_string(column.status)},
                       {"iterations", column.iterations},
                       {"refinements", column.refinements},
                       {"relative_residual", number(column.relative_residual)},
                       {"effective_damping", report.damping},
                       {"smallest_rayleigh", number(column.smallest_rayleigh)},
                       {"smallest_eigenvalue", number(column.smallest_eigenvalue)},
                       {"largest_eigenvalue", number(column.largest_eigenvalue)}});
    if (report.lissa) columns.back()["spread"] = number(column.spread);
  }
  nlohmann::ordered_json facts{{"solver", report.solver},
                               {"tolerance", report.tolerance},
                               {"effective_damping", report.damping},
                               {"certified", report.certified()},
                               {"max_relative_residual", number(report.max_relative_residual())},
                               {"hessian_products", report.products},
                               {"certifying_products", report.certifying_products},
                               {"seconds", report.seconds}};
  if (report.preconditioner != "none")
    facts.update({{"preconditioner", report.preconditioner}, {"preconditioner_products", report.preconditioner_products}});
  facts.update(lissa_facts(report));
  facts["columns"] = std::move(columns);
  return facts;
}

Failure failure_of(const std::exception& error) {
  Failure failure{Fault::internal, std::string("internal error (a bug: please report): ") + error.what()};
  if (dynamic_cast<const std::bad_alloc*>(&error))
    failure = {Fault::device, "out of memory on the host; a smaller request, or a machine with more memory"};
  else if (const auto* told = dynamic_cast<const Error*>(&error); told && told->fault() != Fault::internal)
    failure = {told->fault(), told->what()};
  for (char& c : failure.message)
    if (c == '\n') c = ' ';  // messages are one line, whatever they were made from
  return failure;
}

void settle(const Options& options, const SolveReport& report) {
  if (report.certified()) return;
  const std::string line = report.solver + ": " + report.first_failure();
  if (!options.allow_uncertified) throw NotCertified(line + " (nothing was written; --allow-uncertified would)");
  warn("not certified: " + line);
}

namespace {

/// Throws InvalidInput where `path`, which will be written, is a file that this run reads: by name, or through links.
void expect_no_input(const Options& o, const fs::path& path) {
  const std::pair<const char*, const std::string&> inputs[] = {
      {"--x", o.x},           {"--y", o.y},           {"--params", o.params}, {"--weights", o.weights},
      {"--vectors", o.vectors}, {"--test-x", o.test_x}, {"--test-y", o.test_y}, {"--spec", o.spec},
      {"--indices", o.indices}, {"--groups", o.groups}, {"--moments", o.moments}};
  for (const auto& [option, input] : inputs) {
    std::error_code not_there;
    if (!input.empty() && fs::equivalent(path, input, not_there))
      throw InvalidInput("--out " + io::display(path) + ": is also " + option + "; expected another " +
                         (path == o.out ? "file" : "--out"));
  }
}

}  // namespace

namespace {

/// A manifest with results; null where `path` is none.
nlohmann::ordered_json read_manifest(const fs::path& path) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown) || fs::file_size(path, unknown) == 0) return nullptr;
  auto manifest = nlohmann::ordered_json::parse(io::read_text(path, "a manifest"), nullptr, false);
  const bool is_whole = manifest.is_object() && manifest.value("results", nlohmann::ordered_json()).is_array();
  return is_whole ? manifest : nullptr;
}

/// The names of files that a manifest says were written with it.
std::vector<std::string> results_of(const fs::path& manifest_path) {
  std::vector<std::string> names;
  const nlohmann::ordered_json manifest = read_manifest(manifest_path);
  if (manifest.is_null()) return names;
  for (const auto& name : manifest["results"])
    if (name.is_string()) names.push_back(name.get<std::string>());
  return names;
}

}  // namespace

OutputFolder::Missing::Missing(const fs::path& path) {
  const auto is_missing = [](const fs::path& at) {
    std::error_code why;
    return !at.empty() && fs::status(at, why).type() == fs::file_type::not_found;
  };
  for (fs::path at = path; is_missing(at); at = at.parent_path()) folders.push_back(at);
}

OutputFolder::Missing::~Missing() {
  std::error_code not_empty;
  for (const fs::path& folder : folders) fs::remove(folder, not_empty);  // leaves a folder that holds anything
}

OutputFolder::OutputFolder(const Options& options, std::initializer_list<const char*> results)
    : path_(options.out), results_(results.begin(), results.end()), missing_(path_) {
  io::make_output_directory(path_);
  for (const std::string& name : results_) expect_no_input(options, path_ / name);
}

void OutputFolder::supersede_earlier(io::ResultFiles& results) const {
  for (const std::string& name : results_of(path_ / "manifest.json"))
    if (std::find(results_.begin(), results_.end(), name) != results_.end()) results.supersede(path_ / name);
}

namespace {

/// Contents of the input files of a manifest, in their order.
nlohmann::ordered_json input_contents(const nlohmann::ordered_json& manifest) {
  nlohmann::ordered_json contents = nlohmann::ordered_json::array();
  for (const auto& input : manifest.value("inputs", nlohmann::ordered_json::array()))
    contents.push_back(input.is_object() ? input.value("sha256", nlohmann::ordered_json()) : nlohmann::ordered_json());
  return contents;
}

/// The manifest of `folder` where all results that it names are there, else null.
nlohmann::ordered_json whole_manifest(const OutputFolder& folder) {
  const nlohmann::ordered_json manifest = read_manifest(folder / "manifest.json");
  if (manifest.is_null()) return nullptr;
  std::error_code unknown;
  for (const auto& name : manifest["results"])
    if (!name.is_string() || !fs::is_regular_file(folder / name.get<std::string>(), unknown)) return nullptr;
  return manifest;
}

}  // namespace

bool is_finished(const Options& options, const OutputFolder& folder, const char* journal, const std::string& request,
                 io::Manifest& manifest) {
  auto facts = nlohmann::ordered_json::parse(request);
  facts.erase("inputs");  // the manifest has them
  facts["allow_uncertified"] = options.allow_uncertified;
  manifest.set("request", facts);
  std::error_code unknown;
  if (!options.resume || fs::exists(folder / journal, unknown)) return false;
  const auto earlier = whole_manifest(folder);
  if (earlier.is_null() || earlier.value("request", nlohmann::ordered_json()) != facts ||
      input_contents(earlier) != input_contents(manifest.to_json()))
    return false;
  print_facts(options, {{"already_finished", true}, {"written", folder.path().string()}});
  return true;
}

bool holds_unfinished_work(const Options& options) {
  std::error_code unreadable;
  for (const fs::directory_entry& entry : fs::directory_iterator(options.out, unreadable))
    if (entry.path().extension() == ".journal" || entry.path().filename() == kExperiments) return true;
  return false;
}

void check_writable(const Options& options, std::initializer_list<const char*> beside) {
  std::vector<fs::path> paths{options.out, io::manifest_beside(options.out)};
  for (const char* suffix : beside) paths.emplace_back(options.out + suffix);
  expect_no_input(options, options.out + kReport);  // write_array deletes an earlier one
  for (const fs::path& path : paths) {
    expect_no_input(options, path);
    const io::AtomicFile probe(path);
  }
}

template <class T, class Value>
void write_values(io::ResultFiles& results, const fs::path& path, const std::vector<Index>& shape,
                  const std::vector<Value>& values) {
  const std::vector<T> rounded(values.begin(), values.end());
  for (std::size_t i = 0; i < rounded.size(); ++i)
    if (!std::isfinite(rounded[i]))
      throw NotCertified(path.filename().string() + ": element " + std::to_string(i) + " is " +
                         number_text(static_cast<double>(values[i])) + ", beyond " +
                         (sizeof(T) == 4 ? "float32" : "float64") +
                         "; the data, the weights, the parameters or --l2 are too large (nothing was written)");
  io::write_npy(results.add(path), shape, std::span<const T>(rounded));
}
template void write_values<float>(io::ResultFiles&, const fs::path&, const std::vector<Index>&,
                                  const std::vector<double>&);
template void write_values<double>(io::ResultFiles&, const fs::path&, const std::vector<Index>&,
                                   const std::vector<double>&);

template <class T>
void write_array(const Options& options, io::Manifest& manifest, const std::vector<Index>& shape,
                 const std::vector<T>& values, const std::string& report) {
  io::ResultFiles results;
  write_values<T>(results, options.out, shape, values);
  const std::string earlier = fs::path(options.out + kReport).filename().string();
  const std::vector<std::string> names = results_of(io::manifest_beside(options.out));
  if (std::find(names.begin(), names.end(), earlier) != names.end()) results.supersede(options.out + kReport);
  if (!report.empty()) results.add(options.out + kReport, report);
  manifest.write(results, io::manifest_beside(options.out));
  results.commit();
}
template void write_array(const Options&, io::Manifest&, const std::vector<Index>&, const std::vector<float>&,
                          const std::string&);
template void write_array(const Options&, io::Manifest&, const std::vector<Index>&, const std::vector<double>&,
                          const std::string&);

}  // namespace clout::cli
