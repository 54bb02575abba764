// encode_levels, encode_weights, encode_exact, their decoders, pool_levels, moments, simd. The contract is _core.pyi.
#include "bindings.hpp"
#include "cabacus/codebook.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_rules.hpp"
#include "cabacus/error.hpp"
#include "cabacus/exact_decoder.hpp"
#include "cabacus/exact_encoder.hpp"
#include "cabacus/moments.hpp"
#include "cabacus/pooling.hpp"
#include "cabacus/tensor_decoder.hpp"
#include "cabacus/tensor_encoder.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace py = pybind11;

namespace {

template <typename T>
using Flat = py::array_t<T, py::array::c_style>;

using Pinned = std::map<std::string, int>;

// The parameters that a caller may pin, with their least and greatest values.
struct Parameter {
    std::optional<int> cabacus::FixedCoding::* field;
    int least;
    int greatest;
};

const std::map<std::string, Parameter>& parameters() {
    using cabacus::FixedCoding;
    static const std::map<std::string, Parameter> all{
        {"flags", {&FixedCoding::flags, 0, cabacus::kMaxFlags}},
        {"golomb", {&FixedCoding::golomb, 0, 10}},
        {"prefixes", {&FixedCoding::prefixes, 0, cabacus::kMaxFlags}},
        {"width", {&FixedCoding::width, 0, cabacus::kMaxWidth}},
        {"context", {&FixedCoding::context, 0, cabacus::kContextSets - 1}},
        {"row_shift", {&FixedCoding::row_shift, 1, cabacus::kMaxShift}},
        {"column_shift", {&FixedCoding::column_shift, 0, cabacus::kMaxShift}},
        {"class_floor", {&FixedCoding::class_floor, 0, cabacus::kMaxClassFloor}},
        {"lanes", {&FixedCoding::lanes, 1, cabacus::kMaxLanes}},
    };
    return all;
}

cabacus::FixedCoding fixed_of(const std::optional<Pinned>& pinned) {
    cabacus::FixedCoding fixed;
    if (!pinned) return fixed;
    for (const auto& [name, value] : *pinned) {
        const auto found = parameters().find(name);
        if (found == parameters().end()) throw py::value_error("there is no parameter '" + name + "'");
        const Parameter& parameter = found->second;
        if (value < parameter.least || value > parameter.greatest) {
            throw py::value_error(name + " is " + std::to_string(value) + "; pass " + std::to_string(parameter.least) +
                                  " to " + std::to_string(parameter.greatest));
        }
        fixed.*parameter.field = value;
    }
    if (fixed.flags && fixed.prefixes && *fixed.flags + *fixed.prefixes > cabacus::kMaxFlags) {
        throw py::value_error("flags and prefixes together exceed " + std::to_string(cabacus::kMaxFlags));
    }
    return fixed;
}

cabacus::Effort effort_of(const std::string& name) {
    if (name == "fast") return cabacus::Effort::fast;
    if (name == "default") return cabacus::Effort::normal;
    if (name == "max") return cabacus::Effort::max;
    throw py::value_error("effort is '" + name + "'; pass 'fast', 'default' or 'max'");
}

cabacus::Quantizer quantizer_of(const std::string& name) {
    if (name == "round") return cabacus::Quantizer::round;
    if (name == "greedy") return cabacus::Quantizer::greedy;
    if (name == "trellis") return cabacus::Quantizer::trellis;
    throw py::value_error("quantizer is '" + name + "'; pass 'round', 'greedy' or 'trellis'");
}

// A flat array of at least one element.
template <typename T>
std::size_t checked_size(const Flat<T>& array, std::size_t columns) {
    if (array.ndim() != 1 || array.size() == 0) throw py::value_error("the array must be flat and not empty");
    if (columns == 0 || columns > static_cast<std::size_t>(array.size())) {
        throw py::value_error("columns must be 1 to the number of weights");
    }
    return static_cast<std::size_t>(array.size());
}

// Parameters of Python's making, within their ranges: tables are as large as those.
void check_coding(const cabacus::LevelCoding& coding) {
    try {
        cabacus::check_level_coding(coding);
    } catch (const cabacus::FormatError& error) {
        throw py::value_error(error.what());
    }
}

cabacus::EncodeOptions options_of(std::size_t columns, const std::optional<cabacus::LevelCoding>& coding,
                                  const std::optional<Pinned>& fixed, const std::string& effort, int threads,
                                  bool payload) {
    if (coding) check_coding(*coding);
    return {columns, coding, fixed_of(fixed), effort_of(effort), threads, payload};
}

cabacus::EncodedTensor encode_levels(const Flat<std::int32_t>& levels, std::size_t columns,
                                     const std::optional<cabacus::LevelCoding>& coding,
                                     const std::optional<Pinned>& fixed, const std::string& effort, int threads) {
    const std::size_t count = checked_size(levels, columns);
    const cabacus::EncodeOptions options = options_of(columns, coding, fixed, effort, threads, true);
    const std::int32_t* data = levels.data();
    const py::gil_scoped_release unlocked;
    return cabacus::encode_levels(data, count, options);
}

template <typename Real>
cabacus::EncodedTensor encode_weights(const Flat<Real>& weights, std::size_t columns, double step,
                                      const std::optional<Flat<float>>& eta, double rate_weight, double max_error,
                                      const std::string& quantizer, const std::string& candidates,
                                      const std::optional<cabacus::LevelCoding>& coding,
                                      const std::optional<Pinned>& fixed, const std::string& effort, int threads,
                                      bool payload) {
    const std::size_t count = checked_size(weights, columns);
    if (!(step > 0.0) || !std::isfinite(step)) throw py::value_error("step must be finite and above 0");
    if (!(rate_weight >= 0.0) || !(max_error >= 0.0)) throw py::value_error("rate_weight and max_error must be 0 or more");
    if (candidates != "near" && candidates != "all") throw py::value_error("candidates must be 'near' or 'all'");
    if (eta && (eta->ndim() != 1 || eta->size() != weights.size())) throw py::value_error("eta must be like the weights");
    const cabacus::QuantizeOptions how{step, rate_weight, max_error, quantizer_of(quantizer), candidates == "all"};
    const cabacus::EncodeOptions options = options_of(columns, coding, fixed, effort, threads, payload);
    const Real* data = weights.data();
    const float* importance = eta ? eta->data() : nullptr;
    const py::gil_scoped_release unlocked;
    return cabacus::encode_weights(data, count, importance, how, options);
}

// The slices [first, first + slices) of a record's levels; a codebook's first slice is none of them.
cabacus::SliceRun run_of(const cabacus::Record& record, std::size_t weights, std::size_t first, std::size_t slices,
                         cabacus::ByteSpan data) {
    const std::size_t skipped = cabacus::leading_slices(record);
    check_coding(record.levels);
    if (record.gaps > 0) throw py::value_error("the record has gaps; pass the one without");
    if (record.row_width == 0 || record.slice_rows == 0) throw py::value_error("the record has no geometry");
    if (first + slices + skipped > record.slice_bytes.size()) throw py::value_error("the record has fewer slices");
    cabacus::SliceRun run{record.levels, weights, static_cast<std::size_t>(record.row_width),
                          static_cast<std::size_t>(record.slice_rows), first, {}, data};
    for (std::size_t i = 0; i < slices; ++i) {
        run.bytes.push_back(static_cast<std::size_t>(record.slice_bytes[first + i + skipped]));
    }
    return run;
}

std::size_t weights_of(const cabacus::Record& record) {
    std::size_t count = 1;
    for (const std::uint64_t size : record.shape) count *= static_cast<std::size_t>(size);
    return count;
}

std::size_t run_weights(const cabacus::SliceRun& run) {
    if (run.bytes.empty()) return 0;
    const std::size_t last = run.bytes.size() - 1;
    if (run.begin(last) >= run.weights) throw py::value_error("the record has fewer slices");
    return run.begin(last) + run.size(last) - run.begin(0);
}

Flat<std::int32_t> decode_levels(const py::object& data, const cabacus::Record& record, std::size_t first,
                                 std::size_t slices, int threads) {
    const BufferBytes bytes(data);
    const cabacus::SliceRun run = run_of(record, weights_of(record), first, slices, bytes.span());
    Flat<std::int32_t> out(static_cast<py::ssize_t>(run_weights(run)));
    std::int32_t* levels = out.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        cabacus::decode_levels(run, threads, record.name, levels);
    }
    return out;
}

template <typename Real>
void decode_weights(const py::object& data, const cabacus::Record& record, std::size_t first, std::size_t slices,
                    Flat<Real>& out, int threads) {
    const BufferBytes bytes(data);
    const cabacus::SliceRun run = run_of(record, weights_of(record), first, slices, bytes.span());
    if (out.ndim() != 1 || static_cast<std::size_t>(out.size()) != run_weights(run)) {
        throw py::value_error("out must be flat and hold the weights of these slices");
    }
    Real* weights = out.mutable_data();
    const py::gil_scoped_release unlocked;
    cabacus::decode_weights(run, record.step, threads, record.name, weights);
}

template <typename Bits>
py::tuple encode_exact(const Flat<Bits>& elements, std::uint8_t dtype, std::size_t columns,
                       const std::optional<Pinned>& fixed, const std::string& effort, int threads) {
    const std::size_t count = checked_size(elements, columns);
    const cabacus::DType* type = cabacus::find_dtype(dtype);
    if (type == nullptr || type->kind != cabacus::DTypeKind::floating || type->bytes != sizeof(Bits)) {
        throw py::value_error("the elements are not of that type");
    }
    const cabacus::EncodeOptions options = options_of(columns, std::nullopt, fixed, effort, threads, true);
    const Bits* data = elements.data();
    cabacus::EncodedExact made;
    {
        const py::gil_scoped_release unlocked;
        made = cabacus::encode_exact(data, count, type->mantissa_bits, options);
    }
    py::dict fields;
    fields["entries"] = made.exact.bits;
    fields["float_flags"] = made.exact.flags;
    fields["lowest"] = made.exact.lowest;
    fields["offset"] = made.exact.center;
    fields["last"] = made.exact.last;
    return py::make_tuple(std::move(made.tensor), std::move(fields));
}

template <typename Bits>
void decode_exact(const py::object& data, const cabacus::Record& record, std::size_t first, std::size_t slices,
                  Flat<Bits>& out, int threads) {
    const BufferBytes bytes(data);
    if (record.coding != cabacus::Coding::exact_float || cabacus::dtype_of(record).bytes != sizeof(Bits)) {
        throw py::value_error("the record has no exact floats of that size");
    }
    try {
        cabacus::check_parameters(record);
        cabacus::check_exact_float(record);
    } catch (const cabacus::FormatError& error) {
        throw py::value_error(error.what());
    }
    const cabacus::SliceRun run = run_of(record, weights_of(record), first, slices, bytes.span());
    if (out.ndim() != 1 || static_cast<std::size_t>(out.size()) != run_weights(run)) {
        throw py::value_error("out must be flat and hold the elements of these slices");
    }
    Bits* elements = out.mutable_data();
    const py::gil_scoped_release unlocked;
    cabacus::decode_exact(run, cabacus::exact_float_of(record), threads, record.name, elements);
}

template <typename Bits>
bool look_up(const Flat<std::int32_t>& levels, std::uint32_t center, const Flat<Bits>& book, Flat<Bits>& out) {
    if (levels.ndim() != 1 || book.ndim() != 1 || out.ndim() != 1 || out.size() != levels.size()) {
        throw py::value_error("levels, book and out must be flat, and out as long as levels");
    }
    if (book.size() < 1 || book.size() > cabacus::kMaxEntries) throw py::value_error("a book has 1 to 65536 entries");
    Bits* elements = out.mutable_data();
    const auto entries = static_cast<std::uint32_t>(book.size());
    const py::gil_scoped_release unlocked;
    return cabacus::look_up(levels.data(), static_cast<std::size_t>(levels.size()), center, book.data(), entries, elements);
}

// A coding with starts for tensors of one slice each, and the slices that it makes smaller; or nothing.
std::optional<std::pair<cabacus::LevelCoding, std::vector<std::optional<py::bytes>>>> pool_levels(
    const std::vector<std::pair<cabacus::Record, py::object>>& tensors) {
    if (tensors.empty()) return std::nullopt;
    std::deque<BufferBytes> buffers;  // which do not move
    std::vector<cabacus::SmallTensor> pool;
    for (const auto& [record, data] : tensors) {
        check_coding(record.levels);
        if (record.slice_bytes.size() != 1 || record.row_width == 0) throw py::value_error("a tensor has not one slice");
        const auto slice = buffers.emplace_back(data).span();
        pool.push_back({record.levels, {weights_of(record), static_cast<std::size_t>(record.row_width), record.levels.lanes()},
                        cabacus::checked_slice(slice, record.name)});
    }
    const auto made = [&] {
        const py::gil_scoped_release unlocked;
        return cabacus::pool(pool);
    }();
    if (!made) return std::nullopt;
    std::vector<std::optional<py::bytes>> slices;
    for (const auto& slice : made->slices) {
        if (slice.empty()) {
            slices.emplace_back();
        } else {
            slices.emplace_back(to_bytes(slice));
        }
    }
    return std::pair(made->coding, std::move(slices));
}

template <typename Real>
std::tuple<double, double, std::int64_t> moments(const Flat<Real>& weights) {
    const Real* data = weights.data();
    const auto count = static_cast<std::size_t>(weights.size());
    const py::gil_scoped_release unlocked;
    const cabacus::Moments found = cabacus::moments(data, count);
    return {found.sum_of_squares, found.largest, found.first_not_finite};
}

template <typename Real>
void bind_real(py::module_& module) {
    module.def("encode_weights", &encode_weights<Real>, py::arg("weights").noconvert(), py::kw_only(), py::arg("columns"),
               py::arg("step"), py::arg("eta").noconvert() = py::none(), py::arg("rate_weight") = 0.0,
               py::arg("max_error") = 0.0, py::arg("quantizer") = "greedy", py::arg("candidates") = "near",
               py::arg("coding") = py::none(), py::arg("fixed") = py::none(), py::arg("effort") = "default",
               py::arg("threads") = 1, py::arg("payload") = true);
    module.def("decode_weights", &decode_weights<Real>, py::arg("data"), py::arg("record"), py::arg("first_slice"),
               py::arg("slices"), py::arg("out").noconvert(), py::arg("threads") = 1);
    module.def("moments", &moments<Real>, py::arg("weights").noconvert());
}

template <typename Bits>
void bind_exact(py::module_& module) {
    module.def("encode_exact", &encode_exact<Bits>, py::arg("elements").noconvert(), py::kw_only(), py::arg("dtype"),
               py::arg("columns"), py::arg("fixed") = py::none(), py::arg("effort") = "default", py::arg("threads") = 1);
    module.def("decode_exact", &decode_exact<Bits>, py::arg("data"), py::arg("record"), py::arg("first_slice"),
               py::arg("slices"), py::arg("out").noconvert(), py::arg("threads") = 1);
}

template <typename Bits>
void bind_book(py::module_& module) {
    module.def("look_up", &look_up<Bits>, py::arg("levels").noconvert(), py::kw_only(), py::arg("center"),
               py::arg("book").noconvert(), py::arg("out").noconvert());
}

}  // namespace

void bind_levels(py::module_& module) {
    using cabacus::EncodedTensor;
    py::class_<EncodedTensor>(module, "Encoded", "A coded tensor: what its record and payload need, and what it cost.")
        .def_readonly("levels", &EncodedTensor::coding)
        .def_readonly("row_width", &EncodedTensor::row_width)
        .def_readonly("slice_rows", &EncodedTensor::slice_rows)
        .def_readonly("slice_bytes", &EncodedTensor::slice_bytes)
        .def_property_readonly("payload",
                               [](const EncodedTensor& tensor) { return to_bytes(tensor.payload); })
        .def_readonly("nonzero", &EncodedTensor::nonzero)
        .def_readonly("entropy_bits", &EncodedTensor::entropy_bits)
        .def_readonly("squared_error", &EncodedTensor::squared_error)
        .def_readonly("weighted_error", &EncodedTensor::weighted_error);
    module.def("encode_levels", &encode_levels, py::arg("levels").noconvert(), py::kw_only(), py::arg("columns"),
               py::arg("coding") = py::none(), py::arg("fixed") = py::none(), py::arg("effort") = "default",
               py::arg("threads") = 1);
    module.def("decode_levels", &decode_levels, py::arg("data"), py::arg("record"), py::arg("first_slice"),
               py::arg("slices"), py::arg("threads") = 1);
    bind_real<float>(module);
    bind_real<double>(module);
    bind_exact<std::uint16_t>(module);
    bind_exact<std::uint32_t>(module);
    bind_exact<std::uint64_t>(module);
    bind_book<std::uint8_t>(module);
    bind_book<std::uint16_t>(module);
    bind_book<std::uint32_t>(module);
    bind_book<std::uint64_t>(module);
    module.def("pool_levels", &pool_levels, py::arg("tensors"));
    module.def("simd", [] {
        switch (cabacus::widest_form()) {
            case cabacus::Form::avx512: return "avx512";
            case cabacus::Form::avx2: return "avx2";
            case cabacus::Form::neon: return "neon";
            default: return "scalar";
        }
    });
}
