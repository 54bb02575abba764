// LevelCoding, Record, Header, pack, parse, checksum, FormatFault. The contract is _core.pyi.
#include "bindings.hpp"
#include "cabacus/checksum.hpp"
#include "cabacus/container.hpp"
#include "cabacus/container_reader.hpp"
#include "cabacus/container_writer.hpp"
#include "cabacus/error.hpp"

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/operators.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace py = pybind11;

using cabacus::BaseTensor;
using cabacus::Coding;
using cabacus::Fault;
using cabacus::FormatError;
using cabacus::LevelCoding;
using cabacus::Limits;
using cabacus::Record;

namespace {

// Its lists are Python's, so that reading header.records again and again copies nothing.
struct PythonHeader {
    std::uint8_t version = cabacus::kVersion;
    std::uint64_t bytes = 0;
    bool complete = true;
    std::uint64_t file_bytes = 0;
    py::list metadata;
    py::object base;
    py::object layout;
    py::list records;
};

const char* name_of(Fault fault) {
    switch (fault) {
        case Fault::truncated: return "truncated";
        case Fault::corrupt: return "corrupt";
        case Fault::unsupported: return "unsupported";
        case Fault::limit: return "limit";
    }
    return "corrupt";
}

py::object text_or_none(const std::string& text) {
    if (text.empty()) return py::none();
    return py::str(text);
}

template <typename T>
py::tuple to_tuple(const std::vector<T>& values) {
    py::tuple result(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) result[i] = py::int_(values[i]);
    return result;
}

void set_lanes(LevelCoding& levels, std::uint32_t lanes) {
    if (!std::has_single_bit(lanes) || lanes > (1U << cabacus::kMaxLanesLog2)) {
        throw py::value_error("lanes must be 1, 2, 4 ... or 64");
    }
    levels.lanes_log2 = static_cast<std::uint8_t>(std::countr_zero(lanes));
}

std::uint32_t lanes_of(const LevelCoding& levels) { return 1U << levels.lanes_log2; }

// The constructor call that would make the object, without fields that stand at their defaults.
py::str describe(const py::object& self, const py::object& blank, const std::vector<const char*>& fields) {
    py::list parts;
    for (const char* field : fields) {
        const py::object value = self.attr(field);
        if (!value.equal(blank.attr(field))) parts.append(py::str("{}={!r}").format(field, value));
    }
    return py::str("{}({})").format(py::type::of(self).attr("__name__"), py::str(", ").attr("join")(parts));
}

std::uint64_t limit_from(const py::dict& limits, const char* name) {
    if (!limits.contains(name)) throw py::value_error(std::string("there is no limit ") + name);
    const py::int_ value = py::reinterpret_borrow<py::object>(limits[name]);
    const py::int_ most(std::numeric_limits<std::uint64_t>::max());
    if (value < py::int_(0)) throw py::value_error(std::string("limit ") + name + " is negative");
    return (value > most ? most : value).cast<std::uint64_t>();
}

Limits limits_from(const py::dict& values) {
    Limits limits;
    std::size_t known = 0;
    const auto take = [&](const char* name, std::uint64_t& field) {
        field = limit_from(values, name);
        ++known;
    };
    take("tensors", limits.tensors);
    take("rank", limits.rank);
    take("name_bytes", limits.name_bytes);
    take("elements", limits.elements);
    take("total_elements", limits.total_elements);
    take("header_bytes", limits.header_bytes);
    take("output_bytes", limits.output_bytes);
    if (values.size() != known) throw py::value_error("there are limits that the core does not know");
    return limits;
}

using LayoutFields = std::pair<std::uint64_t, std::vector<std::uint64_t>>;

py::bytes pack(const std::vector<Record>& records, const cabacus::Metadata& metadata,
               const std::optional<std::string>& base, const std::optional<LayoutFields>& layout) {
    std::optional<cabacus::Digest> digest;
    if (base) {
        if (base->size() != cabacus::Digest{}.size()) throw py::value_error("a base is named by 32 bytes");
        std::copy(base->begin(), base->end(), digest.emplace().begin());
    }
    std::optional<cabacus::Layout> slots;
    if (layout) slots = cabacus::Layout{layout->first, layout->second};
    std::vector<std::uint8_t> packed;
    {
        const py::gil_scoped_release released;
        packed = cabacus::pack(records, metadata, digest, slots);
    }
    return {reinterpret_cast<const char*>(packed.data()), packed.size()};
}

using BaseFields = std::tuple<std::string, std::uint8_t, std::vector<std::uint64_t>>;

PythonHeader parse(const py::object& data, const py::dict& limits, bool whole,
                   const std::optional<std::vector<BaseFields>>& base) {
    const BufferBytes buffer(data);
    const Limits allowed = limits_from(limits);
    std::vector<BaseTensor> tensors;
    if (base) {
        for (const auto& [name, dtype, shape] : *base) tensors.push_back({name, dtype, shape});
    }
    cabacus::Header header;
    {
        const py::gil_scoped_release released;
        header = cabacus::parse(buffer.span(), allowed, whole, base ? &tensors : nullptr);
    }
    PythonHeader result{header.version, header.bytes, header.complete, header.file_bytes, py::list(), py::none(), py::none(),
                        py::list()};
    for (const auto& [key, value] : header.metadata) result.metadata.append(py::make_tuple(key, value));
    if (header.base) result.base = to_bytes(*header.base);
    if (header.layout) result.layout = py::make_tuple(header.layout->joined, header.layout->groups);
    for (Record& record : header.records) result.records.append(py::cast(std::move(record)));
    return result;
}

std::uint32_t checksum(const py::object& data) {
    const BufferBytes buffer(data);
    const py::gil_scoped_release released;
    return cabacus::crc32c(buffer.span());
}

void bind_fault(py::module_& module) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result([&] { return py::exception<FormatError>(module, "FormatFault"); });
    type.get_stored().attr("__doc__") =
        "A stream that cannot be used: args are (kind, message, tensor or None, limit or None).";
    py::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const FormatError& error) {
            const py::tuple arguments = py::make_tuple(name_of(error.kind), error.what(), text_or_none(error.tensor),
                                                       text_or_none(error.limit));
            py::set_error(type.get_stored(), arguments);
        }
    });
}

void bind_level_coding(py::module_& module) {
    py::class_<LevelCoding>(module, "LevelCoding", "How integer levels become bins (FORMAT.md, section 5).")
        .def(py::init(&from_keywords<LevelCoding>))
        .def_readwrite("flags", &LevelCoding::flags)
        .def_readwrite("golomb", &LevelCoding::golomb)
        .def_readwrite("prefixes", &LevelCoding::prefixes)
        .def_readwrite("width", &LevelCoding::width)
        .def_readwrite("context", &LevelCoding::context)
        .def_readwrite("row_shift", &LevelCoding::row_shift)
        .def_readwrite("column_shift", &LevelCoding::column_shift)
        .def_readwrite("class_floor", &LevelCoding::class_floor)
        .def_readwrite("trellis", &LevelCoding::trellis)
        .def_property("lanes", &lanes_of, &set_lanes)
        .def_readwrite("start", &LevelCoding::start)
        .def(py::self == py::self)
        .def("__repr__", [](const py::object& self) {
            return describe(self, py::cast(LevelCoding{}),
                            {"flags", "golomb", "prefixes", "width", "context", "row_shift", "column_shift", "class_floor",
                             "trellis", "lanes", "start"});
        });
}

void bind_record(py::module_& module) {
    using Shape = std::vector<std::uint64_t>;
    using Axes = std::vector<std::uint32_t>;
    py::class_<Record>(module, "Record", "One tensor in a header (FORMAT.md, section 3.3).")
        .def(py::init(&from_keywords<Record>))
        .def_readwrite("name", &Record::name)
        .def_readwrite("dtype", &Record::dtype)
        .def_property(
            "shape", [](const Record& self) { return to_tuple(self.shape); },
            [](Record& self, Shape shape) { self.shape = std::move(shape); })
        .def_property(
            "coding", [](const Record& self) { return static_cast<std::uint8_t>(self.coding); },
            [](Record& self, std::uint8_t id) { self.coding = static_cast<Coding>(id); })
        .def_readwrite("delta", &Record::delta)
        .def_readwrite("alias", &Record::alias)
        .def_property(
            "axes", [](const Record& self) { return to_tuple(self.axes); },
            [](Record& self, Axes axes) { self.axes = std::move(axes); })
        .def_readwrite("levels", &Record::levels)
        .def_readwrite("step", &Record::step)
        .def_readwrite("offset", &Record::offset)
        .def_readwrite("entries", &Record::entries)
        .def_readwrite("float_flags", &Record::float_flags)
        .def_readwrite("lowest", &Record::lowest)
        .def_readwrite("last", &Record::last)
        .def_readwrite("row_width", &Record::row_width)
        .def_readwrite("slice_rows", &Record::slice_rows)
        .def_readwrite("gaps", &Record::gaps)
        .def_readwrite("slice_bytes", &Record::slice_bytes)
        .def_readwrite("start", &Record::start)
        .def_property_readonly("members", [](const Record& self) { return to_tuple(self.members); })
        .def("without_gaps", &cabacus::without_gaps, "The record of the smaller tensor that is coded.")
        .def("__repr__", [](const py::object& self) {
            return describe(self, py::cast(Record{}),
                            {"name", "dtype", "shape", "coding", "delta", "alias", "axes", "levels", "step", "offset",
                             "entries", "float_flags", "lowest", "last", "row_width", "slice_rows", "gaps", "slice_bytes",
                             "start"});
        });
}

void bind_header(py::module_& module) {
    py::class_<PythonHeader>(module, "Header", "What `parse` finds in a file (FORMAT.md, sections 2 and 3).")
        .def_readonly("version", &PythonHeader::version)
        .def_readonly("bytes", &PythonHeader::bytes)
        .def_readonly("complete", &PythonHeader::complete)
        .def_readonly("file_bytes", &PythonHeader::file_bytes)
        .def_readonly("metadata", &PythonHeader::metadata)
        .def_readonly("base", &PythonHeader::base)
        .def_readonly("layout", &PythonHeader::layout)
        .def_readonly("records", &PythonHeader::records)
        .def("__repr__", [](const PythonHeader& self) {
            return py::str("<Header of {} tensors, {} of {} bytes>")
                .format(self.records.size(), self.bytes, self.file_bytes);
        });
}

}  // namespace

void bind_container(py::module_& module) {
    bind_fault(module);
    bind_level_coding(module);
    bind_record(module);
    bind_header(module);
    module.def("pack", &pack, py::arg("records"), py::arg("metadata"), py::arg("base").none(true),
               py::arg("layout").none(true) = py::none(),
               "Preamble and header of a file whose payload is the records' slices, in order.");
    module.def("parse", &parse, py::arg("data"), py::arg("limits"), py::kw_only(), py::arg("whole") = true,
               py::arg("base").none(true) = py::none(), "The header of a file; raises FormatFault.");
    module.def("checksum", &checksum, py::arg("data"), "CRC-32C.");
}
