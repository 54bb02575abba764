// The element types of the format by id. FORMAT section 3.2; their names are Python's (cabacus.dtypes).
#pragma once

#include <array>
#include <cstdint>

namespace cabacus {

enum class DTypeKind : std::uint8_t { integer, floating, complex };  // bool counts as an integer

struct DType {
    std::uint8_t id;
    DTypeKind kind;
    std::uint8_t bytes;
    std::uint8_t mantissa_bits;  // stored ones; 0 for other than floating types
};

// Bits of the exponent of a floating type that has a sign.
constexpr int exponent_bits_of(const DType& dtype) { return 8 * dtype.bytes - 1 - dtype.mantissa_bits; }

inline constexpr std::uint8_t kFloat64 = 19;

inline constexpr std::array<DType, 23> kDTypes{{
    {1, DTypeKind::integer, 1, 0},     // bool
    {2, DTypeKind::integer, 1, 0},     // int8
    {3, DTypeKind::integer, 1, 0},     // uint8
    {4, DTypeKind::integer, 2, 0},     // int16
    {5, DTypeKind::integer, 2, 0},     // uint16
    {6, DTypeKind::integer, 4, 0},     // int32
    {7, DTypeKind::integer, 4, 0},     // uint32
    {8, DTypeKind::integer, 8, 0},     // int64
    {9, DTypeKind::integer, 8, 0},     // uint64
    {16, DTypeKind::floating, 2, 10},  // float16
    {17, DTypeKind::floating, 2, 7},   // bfloat16
    {18, DTypeKind::floating, 4, 23},  // float32
    {kFloat64, DTypeKind::floating, 8, 52},
    {24, DTypeKind::complex, 8, 0},   // complex64
    {25, DTypeKind::complex, 16, 0},  // complex128
    {32, DTypeKind::floating, 1, 3},  // float8_e4m3fn
    {33, DTypeKind::floating, 1, 2},  // float8_e5m2
    {34, DTypeKind::floating, 1, 3},  // float8_e4m3fnuz
    {35, DTypeKind::floating, 1, 2},  // float8_e5m2fnuz
    {36, DTypeKind::floating, 1, 0},  // float8_e8m0fnu
    {37, DTypeKind::floating, 1, 3},  // float8_e4m3
    {38, DTypeKind::floating, 1, 4},  // float8_e3m4
    {39, DTypeKind::floating, 1, 3},  // float8_e4m3b11fnuz
}};

// nullptr for an unknown id.
constexpr const DType* find_dtype(std::uint8_t id) {
    for (const DType& dtype : kDTypes) {
        if (dtype.id == id) return &dtype;
    }
    return nullptr;
}

}  // namespace cabacus
