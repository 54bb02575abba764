// The extension module cabacus._core: one function a concept, each in its own bind_*.cpp.
#include "bindings.hpp"

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_core, module) {
    module.doc() = "C++ core of cabacus.";
    bind_container(module);
    bind_levels(module);
}
