// Runs every TEST, or those whose names hold the argument.
#include "check.hpp"

#include <exception>
#include <string>

int main(int count, char** arguments) {
    const std::string wanted = count > 1 ? arguments[1] : "";
    int failed = 0;
    int ran = 0;
    for (const check::Test& test : check::tests()) {
        if (test.name.find(wanted) == std::string::npos) continue;
        ++ran;
        try {
            test.body();
        } catch (const std::exception& error) {
            ++failed;
            std::cerr << "FAILED " << test.name << "\n  " << error.what() << "\n";
        }
    }
    std::cout << ran << " tests, " << failed << " failed\n";
    return failed > 0 || ran == 0 ? 1 : 0;
}
