// Runs every target on its corpus without libFuzzer, for any compiler: replay CORPUS. Each file also cut in the middle.
#include "targets.hpp"

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace {

using Target = void (*)(fuzz::Input);
constexpr std::pair<const char*, Target> kTargets[] = {
    {"container", fuzz::container}, {"slices", fuzz::slices}, {"round_trip", fuzz::round_trip}, {"exact", fuzz::exact}};

std::vector<std::uint8_t> read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int replay(const std::filesystem::path& corpus) {
    for (const auto& [name, target] : kTargets) {
        int files = 0;
        for (const auto& entry : std::filesystem::directory_iterator(corpus / name)) {
            const std::vector<std::uint8_t> input = read(entry.path());
            target(input);
            target(fuzz::Input(input).first(input.size() / 2));
            ++files;
        }
        std::cout << name << ": " << files << " files\n";
        if (files == 0) return 1;
    }
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::cerr << "usage: replay CORPUS\n";
        return 2;
    }
    try {
        return replay(arguments[1]);
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
