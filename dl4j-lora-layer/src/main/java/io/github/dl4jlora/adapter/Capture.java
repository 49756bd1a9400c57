package io.github.dl4jlora.adapter;

import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.peft.AdapterContent;
import io.github.dl4jlora.internal.peft.Biases;
import io.github.dl4jlora.internal.peft.Delta;
import io.github.dl4jlora.internal.peft.Kind;
import io.github.dl4jlora.internal.peft.TensorLayout;
import io.github.dl4jlora.internal.rewrite.AdaptedView;
import io.github.dl4jlora.internal.rewrite.DisabledScopes;
import io.github.dl4jlora.internal.rewrite.Scales;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;

/** Copies an adapter out of a network; {@link Swap} is the way back. */
final class Capture {

    private Capture() {
    }

    /**
     * @throws IllegalArgumentException if the network is not adapted
     * @throws IllegalStateException    if its base has changed since it was adapted
     */
    static LoRAAdapter of(Model adapted) {
        DisabledScopes.requireNone(adapted, "LoRAAdapter.of");
        Scales.requireNone(adapted, "LoRAAdapter.of");
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            AdaptedView view = AdaptedView.of(adapted);
            Map<String, AdaptedView.Base> bases = view.verifiedBases();
            Map<String, Delta> deltas = new LinkedHashMap<>();
            view.adaptedMatrices().forEach((name, matrix) -> deltas.put(name, delta(matrix,
                    bases.getOrDefault(matrix.layer(), AdaptedView.Base.UNKNOWN), layout(view, matrix))));
            if (deltas.isEmpty()) {
                throw new IllegalArgumentException("The network has no adapted layer: make one with LoRA.apply");
            }
            return new LoRAAdapter(new CapturedValues(view).with(deltas));
        }
    }

    /** The adapter, with the network's own values for the biases which train there and of which it knows nothing. */
    static LoRAAdapter withBiasesOf(Model adapted, LoRAAdapter adapter) {
        AdaptedView view = AdaptedView.of(adapted);
        Map<String, Delta> deltas = new LinkedHashMap<>(adapter.deltas());
        deltas.replaceAll((name, delta) -> {
            AdaptedView.AdaptedMatrix matrix = view.adaptedMatrices().get(name);
            INDArray bias = matrix == null ? null : matrix.parts().get(DefaultParamInitializer.BIAS_KEY);
            Map<String, INDArray> more = new LinkedHashMap<>(delta.more());
            if (bias != null) {
                more.putIfAbsent(DefaultParamInitializer.BIAS_KEY, bias.dup());
            }
            return delta.withMore(more);
        });
        CapturedValues own = new CapturedValues(view);
        Map<String, INDArray> biases = new LinkedHashMap<>(own.biases());
        biases.putAll(adapter.content().biases().values());
        return new LoRAAdapter(new AdapterContent(deltas, adapter.content().trained(), new Biases(biases, view.biasTraining()),
                adapter.content().dropout(), adapter.content().own(), adapter.content().modules()));
    }

    private static Delta delta(AdaptedView.AdaptedMatrix matrix, AdaptedView.Base base, TensorLayout layout) {
        Map<String, INDArray> more = new LinkedHashMap<>();
        matrix.parts().forEach((key, value) -> more.put(key, value.dup()));
        INDArray a = more.remove(Variant.A);
        INDArray b = more.remove(Variant.B);
        LoRASettings settings = matrix.settings();
        Kind kind = new Kind(settings.variant(), settings.loraInit(), settings.pissaIterations());
        return new Delta(a, b, matrix.alpha(), matrix.scaling(), base.id(), layout, more, kind,
                base.storedAs());
    }

    /** What A and B look like in a file, and which way round PyTorch has W. */
    private static TensorLayout layout(AdaptedView view, AdaptedView.AdaptedMatrix matrix) {
        TensorLayout layout = TensorLayout.of(matrix.stock());
        boolean inByOut = view.torch().namesOf(matrix.layer(), matrix.parameter().key()).stream()
                .anyMatch(parameter -> !parameter.transposed());
        return inByOut && layout.equals(TensorLayout.LINEAR) ? TensorLayout.CONV1D : layout;
    }
}
