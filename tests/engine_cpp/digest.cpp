// Prints hashes of what the engine makes of drawn levels and weights. Built for two machines it must print the same:
// `make cpp-test-arm` compares. The draws add and multiply alone, as a math library may round differently elsewhere.
#include "cabacus/lanes/encode.hpp"
#include "cabacus/tensor_encoder.hpp"
#include "samples.hpp"

#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <span>
#include <vector>

using streams::Random;

namespace {

// FNV-1a. Not CRC-32C, which is the same for all bytes that end with their own checksum, as slices do.
std::uint64_t hash(std::span<const std::uint8_t> bytes) {
    std::uint64_t value = 0xCBF29CE484222325;
    for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001B3;
    return value;
}

void tell(const char* what, int first, int second, int third, std::span<const std::uint8_t> bytes) {
    std::cout << std::dec << what << ' ' << first << ' ' << second << ' ' << third << ": " << bytes.size() << " bytes, "
              << std::hex << std::setw(16) << std::setfill('0') << hash(bytes) << '\n';
}

void tell_levels() {
    for (int lanes_log2 = 0; lanes_log2 <= cabacus::kMaxLanesLog2; ++lanes_log2) {
        for (int context = 0; context < cabacus::kContextSets; ++context) {
            for (const int trellis : {0, 4, 8}) {
                Random random(static_cast<std::uint64_t>(100 * lanes_log2 + 10 * context + trellis));
                std::vector<std::uint8_t> all;
                for (int trial = 0; trial < 4; ++trial) {
                    const cabacus::LevelCoding coding = streams::any_coding(random, context, trellis, lanes_log2);
                    const cabacus::SliceGeometry geometry{4000 + random.below(4000), 1 + random.below(200), coding.lanes()};
                    const std::vector<std::int32_t> levels = streams::any_levels(random, geometry.weights);
                    const std::vector<std::uint8_t> words = cabacus::encode_slice(geometry, coding, levels.data());
                    all.insert(all.end(), words.begin(), words.end());
                }
                tell("levels", lanes_log2, context, trellis, all);
            }
        }
    }
}

// Products of three: many near zero, some far.
template <class Real>
std::vector<Real> some_weights(Random& random, std::size_t count) {
    std::vector<Real> weights(count);
    for (Real& one : weights) {
        one = static_cast<Real>((random.unit() - 0.5) * random.unit() * random.unit() * 64);
        if (random.below(500) == 0) one *= 1000;
    }
    return weights;
}

template <class Real>
void tell_weights(const char* what) {
    for (const auto quantizer : {cabacus::Quantizer::round, cabacus::Quantizer::greedy, cabacus::Quantizer::trellis}) {
        for (const bool bounded : {false, true}) {
            for (const std::size_t count : {std::size_t{3000}, std::size_t{60000}}) {
                Random random(count);
                const std::vector<Real> weights = some_weights<Real>(random, count);
                std::vector<float> eta(count);
                for (float& one : eta) one = static_cast<float>(0.1 + random.unit());
                cabacus::QuantizeOptions how;
                how.step = 0.11;
                how.rate_weight = 0.07;
                how.max_error = bounded ? 0.15 : 0.0;
                how.quantizer = quantizer;
                cabacus::EncodeOptions options;
                options.columns = 150;
                const float* importance = bounded ? nullptr : eta.data();
                const auto made = cabacus::encode_weights(weights.data(), count, importance, how, options);
                tell(what, static_cast<int>(quantizer), bounded, static_cast<int>(count), made.payload);
                std::cout << "  squared error " << std::hexfloat << made.squared_error << ' ' << made.weighted_error << '\n';
            }
        }
    }
}

}  // namespace

int main() {
    tell_levels();
    tell_weights<float>("float32");
    tell_weights<double>("float64");
}
