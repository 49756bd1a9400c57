package io.github.dl4jlora.cli;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.console.Require;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.report.LoRAPlan;
import org.deeplearning4j.nn.conf.inputs.InputType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

@Command(name = "plan", header = "Shows what apply would do to a network, and what training needs.",
        description = {"The layers that would train and those that would not, and the memory in bytes of a process that trains "
                + "the adapters, next to one that trains all parameters: parameters, gradients, state of the updater, "
                + "activations, DL4J's workspaces. Data and Java's heap are not included.",
                "Nothing is computed or written.",
                "A network does not record the size of images or the length of sequences: give them with --input."},
        footer = {"  dl4j-lora plan base.zip --rank 8 --batch 64",
                "  dl4j-lora plan base.zip --targets '.*' --quantize nf4 --batch 64",
                "  dl4j-lora plan images.zip --targets 'conv.*' --input images:32,32,3"})
final class PlanCommand extends Work {

    @Parameters(index = "0", paramLabel = "NETWORK", description = "The trained network.")
    private Path network;

    @Option(names = "--batch", paramLabel = "N", description = "Examples per training step. Default: 32.")
    private int batch = 32;

    @Option(names = "--input", paramLabel = "SIZE", converter = NetworkInput.class,
            description = "Size of one example: " + NetworkInput.WORDS + "; append ,last if channels come last. Once for each "
                    + "input of the network. Word indices are rows:LENGTH.")
    private InputType[] inputs = {};

    @Option(names = "--quantize", paramLabel = "WORD",
            description = "Plans for a quantised base: ${COMPLETION-CANDIDATES}. Default: no quantisation.")
    private Quantization quantize;

    @Mixin
    private FreshAdapter fresh;

    @Override
    boolean settlesThreads() {
        return false;
    }

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        Require.atLeastOne(spec(), "--batch", batch);
        LoRAConfig config = fresh.config(spec().commandLine()).quantize(quantize).build();
        progress.expect(1).step("reading " + network);
        SavedNetwork base = SavedNetwork.read(network).stock();
        LoRAPlan plan = plan(base, config);
        InspectCommand.say(plan.layers(), facts);
        say(plan, facts);
        facts.put("file", network.toString()).put("batch", plan.batch()).put("trainable", plan.layers().trainableParams())
                .put("total", plan.layers().totalParams()).put("adapterBytes", plan.adapterBytes())
                .put("adapted", values(plan.adapted())).put("full", values(plan.full()))
                .put("layers", plan.layers().rows().stream().map(InspectCommand::values).toList())
                .put("notes", plan.layers().notes());
    }

    private LoRAPlan plan(SavedNetwork base, LoRAConfig config) throws IOException {
        try {
            fresh.requireRank(base, config);
            return LoRA.plan(base.model(), config, batch, inputs);
        } catch (IllegalArgumentException e) {
            throw new IOException(base.file() + " cannot be adapted: " + e.getMessage(), e);
        }
    }

    private static void say(LoRAPlan plan, Facts facts) {
        ResultTable table = new ResultTable("bytes of training, batch " + plan.batch(), "LoRA", "all parameters");
        Map<String, Long> full = plan.full().byPart();
        plan.adapted().byPart().forEach((part, bytes) -> table.row(part, number(bytes), number(full.get(part))));
        facts.say("").say(table).say("").say("The adapter's values in a file: " + number(plan.adapterBytes()) + " bytes.");
    }

    private static Map<String, Long> values(LoRAPlan.Memory memory) {
        Map<String, Long> values = new LinkedHashMap<>();
        values.put("frozen", memory.frozen());
        values.put("trained", memory.trained());
        values.put("gradients", memory.gradients());
        values.put("updater", memory.updater());
        values.put("activations", memory.activations());
        values.put("workspaces", memory.workspaces());
        values.put("scratch", memory.scratch());
        values.put("total", memory.total());
        return values;
    }

    private static String number(long bytes) {
        return String.format(Locale.ROOT, "%,d", bytes);
    }
}
