// What a decoder throws: the four ways in which a stream can be unusable, told apart.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace cabacus {

enum class Fault { truncated, corrupt, unsupported, limit };

// `tensor` names the tensor at fault and `limit` the limit that was met, where there is one; else they are empty.
struct FormatError : std::runtime_error {
    FormatError(Fault what_kind, const std::string& message, std::string at_tensor = {}, std::string at_limit = {})
        : std::runtime_error(message), kind(what_kind), tensor(std::move(at_tensor)), limit(std::move(at_limit)) {}

    Fault kind;
    std::string tensor;
    std::string limit;
};

}  // namespace cabacus
