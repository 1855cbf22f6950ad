#include <clout/kernels/cuda/backend.hpp>
#include <clout/kernels/device.hpp>

namespace clout {

CudaAvailability cuda_availability() { return cuda::availability(); }

std::unique_ptr<Device> make_cuda_device(int ordinal) {
  const auto [count, reason] = cuda_availability();
  if (count == 0) throw DeviceUnavailable("cuda:" + std::to_string(ordinal) + " is not available: " + reason);
  if (ordinal < 0 || ordinal >= count)
    throw DeviceUnavailable("cuda:" + std::to_string(ordinal) + " is not available: this machine has " +
                            std::to_string(count) + " GPU(s), numbered from 0");
  return cuda::make_device(ordinal);
}

std::unique_ptr<Device> make_device(const std::string& name, int threads) {
  if (name == "cpu") return make_cpu_device(threads);
  if (name == "auto") return cuda_availability().count > 0 ? make_cuda_device(0) : make_cpu_device(threads);
  if (name == "cuda") return make_cuda_device(0);
  if (name.starts_with("cuda:") && name.size() > 5 && name.size() < 10 &&
      name.find_first_not_of("0123456789", 5) == std::string::npos)
    return make_cuda_device(std::stoi(name.substr(5)));
  throw InvalidInput("--device " + name + ": expected auto, cpu, cuda or cuda:N");
}

}  // namespace clout
