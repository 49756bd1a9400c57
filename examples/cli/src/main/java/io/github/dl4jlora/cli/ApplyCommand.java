package io.github.dl4jlora.cli;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRASummary;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

@Command(name = "apply", header = "Makes an adapted network from a trained one.",
        description =
                {"With an ADAPTER: the network with this adapter. Without one: the network with a fresh adapter, to be trained "
                        + "in Java; until then its outputs do not change (with --quantize, but for what that loses).",
                "With --quantize, the base is read layer by layer and quantised; NETWORK may then also be a Keras file (.h5).",
                "The result holds base and adapter; LoRA.loadComputationGraph and LoRA.loadMultiLayerNetwork read it."},
        footer = {"  dl4j-lora apply base.zip --rank 8 --alpha 16 --scaling alpha_over_rank -o tuned.zip",
                "  dl4j-lora apply base.zip --rank 8 --alpha 16 --scaling alpha_over_rank --quantize nf4 -o tuned.zip",
                "  dl4j-lora apply base.zip adapter -o tuned.zip"})
final class ApplyCommand extends Work {

    @Parameters(index = "0", paramLabel = "NETWORK", description = "The trained network.")
    private Path network;

    @Parameters(index = "1", arity = "0..1", paramLabel = "ADAPTER", description = "An adapter's folder.")
    private Path adapter;

    @Option(names = "--quantize", paramLabel = "WORD",
            description = "Quantises the base: ${COMPLETION-CANDIDATES}. Default: no quantisation.")
    private Quantization quantize;

    @Mixin
    private Output output;

    @ArgGroup(exclusive = false)
    private FreshAdapter fresh;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        require(adapter == null || fresh == null, "An ADAPTER has its own rank and targets: leave out either " + adapter
                + " or the options of a fresh adapter" + (adapter == null || Files.exists(adapter) ? ""
                : ". For several targets, repeat the option: --targets A --targets B"));
        LoRAConfig config = adapter == null ? freshAdapter().config(spec().commandLine()).build() : null;
        output.checkedFile();
        progress.expect(4).step("reading " + network);
        SavedNetwork adapted = adapted(config, progress);
        progress.step("writing " + output.path());
        output.writeAdapted(adapted);
        LoRASummary summary = adapted.summary();
        output.tell(String.format(Locale.ROOT, "adapted, %,d of %,d values train (%.2f %%).", summary.trainableParams(),
                summary.totalParams(), summary.trainablePercent()), facts);
        facts.put("trainable", summary.trainableParams()).put("total", summary.totalParams());
    }

    private SavedNetwork adapted(LoRAConfig config, Progress progress) throws IOException {
        if (adapter == null && quantize != null) {
            progress.step("adapting");
            SavedNetwork adapted = SavedNetwork.readQuantized(network, config.toBuilder().quantize(quantize).build());
            if (fresh != null) {
                fresh.requireRank(adapted.with(AnyNetwork.unload(adapted.model())), config);
            }
            return adapted;
        }
        SavedNetwork base = quantize == null ? SavedNetwork.read(network).stock()
                : SavedNetwork.readQuantized(network, quantize);
        progress.step("adapting");
        return adapter == null ? freshly(base, config)
                : Adapting.put(base, AdapterFolder.read(adapter), adapter, false);
    }

    private FreshAdapter freshAdapter() {
        return fresh == null ? new FreshAdapter() : fresh;
    }

    private SavedNetwork freshly(SavedNetwork base, LoRAConfig config) throws IOException {
        try {
            freshAdapter().requireRank(base, config);
            return base.with(AnyNetwork.apply(base.model(), config));
        } catch (IllegalArgumentException e) {
            throw new IOException(base.file() + " cannot be adapted: " + e.getMessage(), e);
        }
    }
}
