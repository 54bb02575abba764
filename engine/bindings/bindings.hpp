// What the files of the binding share: one bind_* function a concept, called by module.cpp, and bytes from Python.
#pragma once

#include "cabacus/bytes.hpp"

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Values and functions of the container, the checksum, and FormatFault, which every FormatError of the module becomes.
void bind_container(pybind11::module_& module);
// The coder of levels and weights.
void bind_levels(pybind11::module_& module);

// The bytes of a contiguous buffer, held for as long as this lives. Made and destroyed with the GIL held; what it spans
// may be read without.
class BufferBytes {
public:
    explicit BufferBytes(const pybind11::object& source) {
        if (PyObject_GetBuffer(source.ptr(), &view_, PyBUF_SIMPLE) != 0) throw pybind11::error_already_set();
    }
    ~BufferBytes() { PyBuffer_Release(&view_); }
    BufferBytes(const BufferBytes&) = delete;
    BufferBytes& operator=(const BufferBytes&) = delete;

    cabacus::ByteSpan span() const {
        return {static_cast<const std::uint8_t*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }

private:
    Py_buffer view_{};
};

// Bytes for Python.
inline pybind11::bytes to_bytes(cabacus::ByteSpan data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

// Makes a T by setting attributes by name, as its keyword constructor in Python.
template <typename T>
T from_keywords(const pybind11::kwargs& fields) {
    pybind11::object made = pybind11::cast(T{});
    for (const auto& field : fields) {
        if (!pybind11::hasattr(made, field.first)) {
            throw pybind11::type_error("there is no field '" + std::string(pybind11::str(field.first)) + "'");
        }
        pybind11::setattr(made, field.first, field.second);
    }
    return made.cast<T>();
}
