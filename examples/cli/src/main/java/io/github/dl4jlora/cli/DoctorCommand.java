package io.github.dl4jlora.cli;

import io.github.dl4jlora.machine.Doctor;
import org.nd4j.shade.jackson.core.type.TypeReference;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import picocli.CommandLine.Command;

import java.io.IOException;
import java.util.Map;

@Command(name = "doctor", header = "Shows how fast this machine trains, and what slows it down.",
        description = {"Processor, BLAS and its kernels, threads, memory, and a LoRA step next to its matrix products alone; "
                + "for each finding, what it costs here, measured now, and the remedy.",
                "Takes up to half a minute, and is reliable only if nothing else computes. It examines a JVM with your options "
                        + "and environment in which Threads.settle() was not called, which is how a program of yours starts."},
        footer = {"  dl4j-lora doctor", "  dl4j-lora doctor --json"})
final class DoctorCommand extends Work {

    @Override
    boolean settlesThreads() {
        return false;
    }

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        progress.expect(1).step("measuring");
        Doctor report = Doctor.report();
        facts.say(report.toString());
        new ObjectMapper().readValue(report.toJson(), new TypeReference<Map<String, Object>>() { }).forEach(facts::put);
    }
}
