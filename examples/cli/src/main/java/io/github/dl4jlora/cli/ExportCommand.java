package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;

@Command(name = "export", header = "Takes the adapter out of an adapted network.",
        description =
                "The result is a folder with PEFT's two files: what was learned, without the base. Python's PEFT reads it too.",
        footer = {"  dl4j-lora export tuned.zip -o adapter", "  dl4j-lora export checkpoint.zip --base base.zip -o adapter"})
final class ExportCommand extends Work {

    @Parameters(paramLabel = "NETWORK", description = "An adapted network.")
    private Path network;

    @Option(names = "--base", paramLabel = "NETWORK", description = "The network that a checkpoint was adapted from.")
    private Path base;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        output.checkedFolder();
        progress.expect(3).step("reading " + network);
        SavedNetwork adapted = SavedNetwork.read(network, base).adapted();
        progress.step("checking its base");
        LoRAAdapter adapter = LoRAAdapter.of(adapted.model());
        progress.step("writing " + output.path());
        output.writeAdapter(adapter);
        output.tell("an adapter of the layers " + String.join(", ", adapter.layers()) + ".", facts);
        facts.put("layers", adapter.layers()).put("trainedLayers", adapter.trainedLayers());
    }
}
