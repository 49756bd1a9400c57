package io.github.dl4jlora.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;

@Command(name = "merge", header = "Merges base and adapter into a stock DL4J network.",
        description =
                "The result does not need this library: ModelSerializer restores it anywhere. Its outputs are those of the "
                        + "adapted network, except for rounding.",
        footer = {"  dl4j-lora merge base.zip adapter -o plain.zip", "  dl4j-lora merge tuned.zip -o plain.zip",
                "  dl4j-lora merge checkpoint.zip --base base.zip -o plain.zip"})
final class MergeCommand extends Work {

    @Parameters(index = "0", paramLabel = "NETWORK", description = "A network, adapted or not.")
    private Path network;

    @Parameters(index = "1", arity = "0..1", paramLabel = "ADAPTER",
            description = "An adapter's folder, for a network that is not adapted.")
    private Path adapter;

    @Option(names = "--base", paramLabel = "NETWORK", description = "The network that a checkpoint was adapted from.")
    private Path base;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        output.checkedFile();
        progress.expect(3).step("reading " + network);
        SavedNetwork read = SavedNetwork.read(network, base);
        SavedNetwork adapted = adapter == null ? adapted(read)
                : Adapting.put(read.stock(), AdapterFolder.read(adapter), adapter, false);
        progress.step("merging");
        SavedNetwork merged = adapted.with(AnyNetwork.merge(adapted.model()));
        progress.step("writing " + output.path());
        output.writeStock(merged);
        output.tell("a stock " + merged.type() + ".", facts);
        facts.put("type", merged.type()).put("total", merged.model().numParams());
    }

    private SavedNetwork adapted(SavedNetwork read) throws IOException {
        if (read.isStock()) {
            throw new IOException(network + " has no adapter to merge. Name one: dl4j-lora merge " + network + " ADAPTER -o "
                    + output.path());
        }
        return read;
    }
}
