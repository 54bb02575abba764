// Codes a whole tensor: chooses parameters, cuts slices, quantizes and codes each on some threads.
#pragma once

#include "cabacus/bytes.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/lanes/encode.hpp"
#include "cabacus/level_encoder.hpp"
#include "cabacus/level_search.hpp"
#include "cabacus/parallel.hpp"
#include "cabacus/quantizer.hpp"
#include "cabacus/trellis.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace cabacus {

struct EncodeOptions {
    std::size_t columns = 1;            // width of the matrix form
    std::optional<LevelCoding> coding;  // else chosen
    FixedCoding fixed;
    Effort effort = Effort::normal;
    int threads = 1;
    bool payload = true;  // false: sizes and figures alone
};

enum class Quantizer { round, greedy, trellis };

struct QuantizeOptions {
    double step = 1.0;         // finite, > 0
    double rate_weight = 0.0;  // c of eq. 1 in units of the step: eta (x - q)^2 + c R
    double max_error = 0.0;    // of a weight; 0: unbounded
    Quantizer quantizer = Quantizer::round;
    bool all_candidates = false;
};

struct EncodedTensor {
    LevelCoding coding;
    std::size_t row_width = 1;
    std::size_t slice_rows = 1;
    std::vector<std::uint64_t> slice_bytes;  // checksums included
    std::vector<std::uint8_t> payload;
    std::uint64_t nonzero = 0;
    double entropy_bits = 0.0;    // order-0 entropy of the levels
    double squared_error = 0.0;   // sum of e^2
    double weighted_error = 0.0;  // sum of eta e^2
};

// Counts of levels, for the report's order-0 entropy.
class LevelHistogram {
  public:
    void add(const std::int32_t* levels, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const auto shifted = static_cast<std::uint32_t>(levels[i]) + kNear;
            if (shifted < 2 * kNear) {
                ++near_[shifted];
            } else {
                ++far_[levels[i]];
            }
        }
    }
    void add(const LevelHistogram& other) {
        for (std::size_t i = 0; i < near_.size(); ++i) near_[i] += other.near_[i];
        for (const auto& [level, count] : other.far_) far_[level] += count;
    }
    std::uint64_t zeros() const { return near_[kNear]; }
    double entropy_bits(std::uint64_t weights) const {
        double bits = 0.0;
        const auto part = [&](std::uint64_t count) {
            if (count != 0) bits -= static_cast<double>(count) * std::log2(static_cast<double>(count) / static_cast<double>(weights));
        };
        for (const std::uint64_t count : near_) part(count);
        for (const auto& entry : far_) part(entry.second);
        return bits;
    }

  private:
    static constexpr std::uint32_t kNear = 512;
    std::vector<std::uint64_t> near_ = std::vector<std::uint64_t>(2 * kNear);
    std::unordered_map<std::int32_t, std::uint64_t> far_;
};

namespace detail {

// Slices of about 2^20 weights, to share the work; of 2^21 where there are many, to have fewer beginnings and ends.
inline std::size_t choose_slice_rows(std::size_t weights, std::size_t row_width) {
    const std::size_t wanted = std::size_t{1} << (weights >= std::size_t{1} << 22 ? 21 : 20);
    const std::size_t rows = (weights + row_width - 1) / row_width;
    const std::size_t slices = std::max<std::size_t>(1, (weights + wanted / 2) / wanted);
    return std::max<std::size_t>(1, (rows + slices - 1) / slices);
}

// How many of the first weights stand for the tensor when parameters are chosen.
inline std::size_t sample_size(std::size_t weights, std::size_t columns, Effort effort) {
    if (effort == Effort::max) return std::min(weights, std::size_t{1} << 20);
    const std::size_t wanted = std::clamp(kMaxLanes * columns, std::size_t{1} << 15, std::size_t{1} << 16);
    return std::min(weights, wanted);
}

struct SliceResult {
    std::vector<std::uint8_t> bytes;
    std::uint64_t size = 0;
    double squared_error = 0.0;
    double weighted_error = 0.0;
    LevelHistogram histogram;
};

// Codes known levels, or tells what that takes.
inline void code_slice(const SliceGeometry& geometry, const LevelCoding& coding, const std::int32_t* levels, bool payload,
                       SliceResult& out) {
    if (payload) {
        out.bytes = encode_slice(geometry, coding, levels);
        append_checksum(out.bytes);
        out.size = out.bytes.size();
    } else {
        GivenLevels source{levels};
        out.size = measure_slice(geometry, coding, source) + 4;
    }
}

// Lets the source choose `levels`; then as above.
template <class Source>
void choose_and_code(const SliceGeometry& geometry, const LevelCoding& coding, Source& source, const std::int32_t* levels,
                     bool payload, SliceResult& out) {
    out.size = measure_slice(geometry, coding, source) + 4;
    if (payload) code_slice(geometry, coding, levels, payload, out);
}

// Runs `slice(first position, geometry, result)` over the slices and puts the results together.
template <class Slice>
EncodedTensor encode_slices(std::size_t weights, EncodedTensor tensor, int threads, const Slice& slice) {
    const std::size_t per_slice = tensor.row_width * tensor.slice_rows;
    const std::size_t slices = (weights + per_slice - 1) / per_slice;
    std::vector<SliceResult> results(slices);
    for_each_piece(slices, threads, [&](std::size_t piece) {
        const std::size_t begin = piece * per_slice;
        const SliceGeometry geometry{std::min(per_slice, weights - begin), tensor.row_width, tensor.coding.lanes()};
        slice(begin, geometry, results[piece]);
    });
    LevelHistogram histogram;
    for (SliceResult& result : results) {
        tensor.slice_bytes.push_back(result.size);
        tensor.payload.insert(tensor.payload.end(), result.bytes.begin(), result.bytes.end());
        std::vector<std::uint8_t>().swap(result.bytes);
        tensor.squared_error += result.squared_error;
        tensor.weighted_error += result.weighted_error;
        histogram.add(result.histogram);
    }
    tensor.nonzero = weights - histogram.zeros();
    tensor.entropy_bits = histogram.entropy_bits(weights);
    return tensor;
}

// Parameters and geometry for levels of which `sample` are the first.
inline EncodedTensor plan(const EncodeOptions& options, const LevelStatistics& seen, std::span<const std::int32_t> sample) {
    EncodedTensor tensor;
    if (options.coding) {
        tensor.coding = *options.coding;
        tensor.coding.width = static_cast<std::uint8_t>(
            std::max<int>(tensor.coding.width, bits_beyond(tensor.coding, seen.largest)));
    } else {
        CodingSearch search(sample.data(), sample.size(), options.columns, options.fixed);
        tensor.coding = search.run(first_coding(seen, options.fixed), options.effort);
    }
    const auto weights = static_cast<std::size_t>(seen.weights);
    tensor.row_width = choose_row_width(weights, options.columns, tensor.coding.lanes());
    tensor.slice_rows = choose_slice_rows(weights, tensor.row_width);
    return tensor;
}

// Levels under a trellis stand for other multiples than themselves: parameters and quantizer have one, or neither.
inline void check_given(const EncodeOptions& options, bool trellis) {
    if (options.coding && (options.coding->trellis != 0) != trellis) {
        throw std::invalid_argument("the coding has a trellis, or the quantizer is one, but not both");
    }
}

}  // namespace detail

// `levels`: weights >= 1 of them in scan order. Throws std::invalid_argument for one of -2^31, or a coding with a trellis.
inline EncodedTensor encode_levels(const std::int32_t* levels, std::size_t weights, const EncodeOptions& options) {
    detail::check_given(options, false);
    LevelStatistics seen;
    for (std::size_t i = 0; i < weights; ++i) seen.add(levels[i]);
    if (seen.largest > 0x7FFFFFFFu) throw std::invalid_argument("a level is -2^31");
    const std::size_t sampled = detail::sample_size(weights, options.columns, options.effort);
    EncodedTensor tensor = detail::plan(options, seen, {levels, sampled});
    const LevelCoding coding = tensor.coding;
    return detail::encode_slices(
        weights, std::move(tensor), options.threads,
        [&](std::size_t begin, const SliceGeometry& geometry, detail::SliceResult& result) {
            detail::code_slice(geometry, coding, levels + begin, options.payload, result);
            result.histogram.add(levels + begin, geometry.weights);
        });
}

namespace detail {

template <class Real>
void measure_errors(const WeightSlice<Real>& slice, const std::int32_t* multiples, std::size_t count, SliceResult& result) {
    for (std::size_t i = 0; i < count; ++i) {
        const double error = static_cast<double>(slice.weights[i]) - slice.step * multiples[i];
        const double square = error * error;
        result.squared_error += square;
        result.weighted_error += slice.importance(i) * square;
    }
}

template <class Real>
void quantize_slice(const SliceGeometry& geometry, const LevelCoding& coding, const WeightSlice<Real>& slice,
                    const QuantizeOptions& how, std::int32_t largest, bool payload, SliceResult& result) {
    std::vector<std::int32_t> levels(geometry.weights);
    if (how.quantizer == Quantizer::trellis) {
        const Binarization bins(coding);
        LevelCosts first(bins);
        train_trellis(geometry, coding, slice, first);
        std::vector<std::int32_t> multiples(geometry.weights);
        Trellis<Real> source(slice, coding, first, levels.data(), multiples.data());
        choose_and_code(geometry, coding, source, levels.data(), payload, result);
        levels.swap(multiples);
    } else if (how.quantizer == Quantizer::round) {
        for (std::size_t i = 0; i < geometry.weights; ++i) levels[i] = nearest(slice.scaled(i));
        code_slice(geometry, coding, levels.data(), payload, result);
    } else {
        Greedy<Real> source{slice, levels.data(), how.all_candidates ? largest : 0};
        choose_and_code(geometry, coding, source, levels.data(), payload, result);
    }
    measure_errors(slice, levels.data(), geometry.weights, result);
    result.histogram.add(levels.data(), geometry.weights);
}

}  // namespace detail

// Quantizes by eq. 1 and codes. `weights`: count >= 1 finite numbers in scan order, |w| / step <= kMaxLevel. `eta` may be
// null. Throws std::invalid_argument for a step that is too small, or a coding that is not the quantizer's.
template <class Real>
EncodedTensor encode_weights(const Real* weights, std::size_t count, const float* eta, const QuantizeOptions& how,
                             const EncodeOptions& options) {
    detail::check_given(options, how.quantizer == Quantizer::trellis);
    // The levels of the trellis are about half of the multiples that they stand for.
    const double unit = how.quantizer == Quantizer::trellis ? 2 * how.step : how.step;
    LevelStatistics seen;
    for (std::size_t i = 0; i < count; ++i) {
        const double x = static_cast<double>(weights[i]) / unit;
        if (!(std::abs(x) <= kMaxLevel / 2)) throw std::invalid_argument("a weight is more than 2^29 steps, or not finite");
        seen.add(nearest(x));
    }
    if (how.quantizer == Quantizer::trellis) ++seen.largest;  // the neighbour away from zero may be chosen
    const std::size_t sampled = detail::sample_size(count, options.columns, options.effort);
    std::vector<std::int32_t> sample(sampled);
    for (std::size_t i = 0; i < sampled; ++i) sample[i] = nearest(static_cast<double>(weights[i]) / unit);
    EncodedTensor tensor = detail::plan(options, seen, sample);
    if (how.quantizer == Quantizer::trellis && !options.coding) tensor.coding.trellis = kMaxStates;
    const LevelCoding coding = tensor.coding;
    return detail::encode_slices(
        count, std::move(tensor), options.threads,
        [&](std::size_t begin, const SliceGeometry& geometry, detail::SliceResult& result) {
            const WeightSlice<Real> slice{weights + begin, eta == nullptr ? nullptr : eta + begin, how.step,
                                          how.rate_weight, how.max_error};
            detail::quantize_slice(geometry, coding, slice, how, static_cast<std::int32_t>(seen.largest), options.payload,
                                   result);
        });
}

}  // namespace cabacus
