// libFuzzer's way in: compiled once for every target, with its name.
#include "targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::CABACUS_FUZZ_TARGET(fuzz::Input(data, size));
    return 0;
}
