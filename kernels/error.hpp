#pragma once
// The errors of every floor. What went wrong is the type's business; the message is one line: what, where, what was expected.

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace clout {

/// Why a call could not do its work; the value is the program's exit code for it.
enum class Fault {
  internal = 1,      ///< a bug: a broken promise inside the library
  input = 2,         ///< bad usage or bad input
  uncertified = 3,   ///< a result could not be certified
  device = 4,        ///< no such device, or not enough memory
  interrupted = 130  ///< stopped by the user; what was finished is kept
};

/// Base of all exceptions thrown by clout.
class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}
  Fault fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

struct InvalidInput : Error {
  explicit InvalidInput(const std::string& message) : Error(Fault::input, message) {}
};
struct NotCertified : Error {
  explicit NotCertified(const std::string& message) : Error(Fault::uncertified, message) {}
};
struct DeviceUnavailable : Error {
  explicit DeviceUnavailable(const std::string& message) : Error(Fault::device, message) {}
};
struct OutOfMemory : Error {
  explicit OutOfMemory(const std::string& message) : Error(Fault::device, message) {}
};
struct Interrupted : Error {
  explicit Interrupted(const std::string& message) : Error(Fault::interrupted, message) {}
};
struct InternalError : Error {
  explicit InternalError(const std::string& message, std::source_location where = std::source_location::current())
      : Error(Fault::internal, std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " + message) {}
};

/// A precondition on an argument: throws InvalidInput with `message` unless `holds`.
inline void require(bool holds, std::string_view message) {
  if (!holds) throw InvalidInput(std::string(message));
}

/// A promise that the library makes to itself: throws InternalError with file and line unless `holds`.
inline void ensure(bool holds, std::string_view message,
                   std::source_location where = std::source_location::current()) {
  if (!holds) throw InternalError(std::string(message), where);
}

}  // namespace clout
