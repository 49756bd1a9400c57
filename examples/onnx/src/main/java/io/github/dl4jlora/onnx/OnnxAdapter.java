package io.github.dl4jlora.onnx;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.ContentAccess;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.onnx.adapter.AdapterFile;
import io.github.dl4jlora.onnx.adapter.AdapterInputs;
import io.github.dl4jlora.onnx.adapter.AdapterTensors;
import org.deeplearning4j.nn.api.Model;
import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Objects;

/**
 * Writes adapters as ONNX Runtime's own adapter files, {@code .onnx_adapter}, for a base that
 * {@link OnnxExport#write(Model, LoRAAdapter, Path, SaveOption...)} wrote. The base's file takes one adapter at a time. A later
 * adapter needs no new base if it changes nothing but what those change that the base was written with; its rank does not matter.
 * A matrix takes DoRA only if one of those has DoRA there.
 *
 * <pre>{@code
 * OnnxExport.write(base, adapter, Path.of("base.onnx"));
 * OnnxAdapter.write(adapter, Path.of("spam.onnx_adapter"));
 *
 * OrtSession session = environment.createSession("base.onnx");             // ONNX Runtime's own classes
 * OrtLoraAdapter spam = OrtLoraAdapter.create("spam.onnx_adapter");
 * OrtSession.RunOptions options = new OrtSession.RunOptions();
 * options.addActiveLoraAdapter(spam);
 * session.run(inputs, options);                                           // without options: the base
 * }</pre>
 */
public final class OnnxAdapter {

    private OnnxAdapter() {
    }

    /**
     * Writes an adapter.
     *
     * @param adapter taken from an adapted network, or read from files
     * @param path    of the file
     * @param options each at most once
     * @throws OnnxExportException if the adapter is DoRA, or has a lora_bias, which depend on the base; nothing is written
     * @throws IOException         if the file cannot be written; an existing one stays as it was
     */
    public static void write(LoRAAdapter adapter, Path path, SaveOption... options) throws IOException {
        write(ContentAccess.of(required(adapter)), null, path, options);
    }

    /**
     * As {@link #write(LoRAAdapter, Path, SaveOption...)}, also for what depends on the base.
     *
     * @param base a MultiLayerNetwork or ComputationGraph, not adapted; not changed
     * @throws IllegalArgumentException if the adapter was made for another base
     * @throws OnnxExportException      if it does more than add to W and scale outputs
     */
    public static void write(LoRAAdapter adapter, Model base, Path path, SaveOption... options) throws IOException {
        Objects.requireNonNull(base, "write(adapter, null, path): give the base, or leave it out");
        Model adapted = AdapterInputs.applied(base, required(adapter));
        write(AdapterInputs.content(adapter, adapted), AdaptedView.of(adapted), path, options);
    }

    private static LoRAAdapter required(LoRAAdapter adapter) {
        return Objects.requireNonNull(adapter, "write(null, path): give the adapter");
    }

    private static void write(AdapterContent adapter, @Nullable AdaptedView view, Path path, SaveOption... options)
            throws IOException {
        Objects.requireNonNull(path, "write(adapter, null): give the path of the file");
        byte[] file = AdapterFile.of(AdapterTensors.of(adapter, view));
        AtomicFile.write(path, out -> out.write(file), options);
    }
}
