package io.github.dl4jlora.cli;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.report.LoRASummary;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;

@Command(name = "quantize", header = "Stores the weights of a trained network in fewer bits.",
        description =
                {"The result can be used for inference, and is a base for adapters: in dl4j-lora wherever a NETWORK without "
                        + "adapters is needed, in Java for LoRA.apply. It cannot be trained itself.",
                "The network is read layer by layer, so that it is never completely in memory. The error is shown by layer; "
                        + "biases, and layers that cannot run quantised, stay as they are.",
                "NETWORK may also be a Keras file (.h5)."},
        footer = {"  dl4j-lora quantize --as int8 base.zip -o quantised.zip",
                "  dl4j-lora quantize --as nf4 model.h5 --mapped -o shared.base"})
final class QuantizeCommand extends Work {

    @Parameters(paramLabel = "NETWORK", description = "The trained network.")
    private Path network;

    @Option(names = "--as", required = true, paramLabel = "WORD",
            description = "How matrices are stored: ${COMPLETION-CANDIDATES}.")
    private Quantization scheme;

    @Option(names = "--mapped", description = "Writes a file that is mapped, not read: processes that open it share its pages. "
            + "It cannot hold a normalizer.")
    private boolean mapped;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        output.checkedFile();
        progress.expect(2).step("reading " + network);
        SavedNetwork quantized = SavedNetwork.readQuantized(network, scheme);
        progress.step("writing " + output.path());
        if (mapped) {
            output.writeMapped(quantized);
            if (quantized.normalizer() != null) {
                facts.say("The result does not contain the normalizer of " + network + ": keep that file, or leave out --mapped");
            }
        } else {
            output.writeAdapted(quantized);
        }
        LoRASummary summary = quantized.summary();
        double error = summary.largestError().orElse(0);
        InspectCommand.say(summary, facts);
        output.tell(String.format(Locale.ROOT, "quantised as %s, %,d bytes of weights instead of %,d; largest error of a layer "
                + "%.2f %%.", scheme, summary.frozenBytes(), quantized.plainBytes(), 100 * error), facts);
        facts.put("storedAs", scheme.name()).put("bytesBefore", quantized.plainBytes()).put("bytesAfter", summary.frozenBytes())
                .put("largestError", error).put("normalizerLeftOut", mapped && quantized.normalizer() != null)
                .put("layers", summary.rows().stream().map(InspectCommand::values).toList());
    }
}
