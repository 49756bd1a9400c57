package io.github.dl4jlora.internal.swap;

import io.github.dl4jlora.conf.TorchParameter;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.inspect.DisabledScopes;
import io.github.dl4jlora.internal.inspect.Scales;
import io.github.dl4jlora.internal.network.TorchTable;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.LinkedHashMap;
import java.util.Map;

/** Copies an adapter out of a network; {@link Swap} is the way back. */
public final class Capture {

    private Capture() {
    }

    /**
     * @throws IllegalArgumentException if the network is not adapted
     * @throws IllegalStateException    if its base has changed since it was adapted
     */
    public static AdapterContent of(Model adapted) {
        DisabledScopes.requireNone(adapted, "LoRAAdapter.of");
        Scales.requireNone(adapted, "LoRAAdapter.of");
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            AdaptedView view = AdaptedView.of(adapted);
            Map<String, AdaptedView.Base> bases = view.verifiedBases();
            Map<String, Delta> deltas = new LinkedHashMap<>();
            view.adaptedMatrices().forEach((name, matrix) -> deltas.put(name, delta(view, matrix,
                    bases.getOrDefault(matrix.layer(), AdaptedView.Base.UNKNOWN))));
            if (deltas.isEmpty()) {
                throw new IllegalArgumentException("The network has no adapted layer: make one with LoRA.apply");
            }
            return new CapturedValues(view).with(deltas);
        }
    }

    /** The adapter with the network's own values for those biases that train there and that it does not have. */
    public static AdapterContent withBiasesOf(Model adapted, AdapterContent adapter) {
        AdaptedView view = AdaptedView.of(adapted);
        Map<String, Delta> deltas = new LinkedHashMap<>(adapter.deltas());
        deltas.replaceAll((name, delta) -> {
            AdaptedView.AdaptedMatrix matrix = view.adaptedMatrices().get(name);
            INDArray bias = matrix == null ? null : matrix.parts().get(DefaultParamInitializer.BIAS_KEY);
            Map<String, INDArray> more = new LinkedHashMap<>(delta.more());
            if (bias != null && !delta.trainsBias()) {
                more.put(DefaultParamInitializer.BIAS_KEY, bias.dup());
            }
            return delta.withMore(more);
        });
        CapturedValues own = new CapturedValues(view);
        Map<String, INDArray> biases = new LinkedHashMap<>(own.biases());
        biases.keySet().removeIf(module -> holds(adapter, view.torch(), module));
        biases.putAll(adapter.biases().values());
        return new AdapterContent(deltas, adapter.trained(), new Biases(biases, view.biasTraining()), adapter.dropout(),
                adapter.own(), adapter.modules(), adapter.named());
    }

    /** Whether the adapter has a module's bias, under one of the names that PyTorch has for it. */
    private static boolean holds(AdapterContent adapter, TorchTable torch, String module) {
        TorchParameter bias = torch.parameter(module + Biases.SUFFIX);
        return bias != null && torch.namesOf(bias.layer(), bias.key()).stream().anyMatch(name ->
                adapter.biases().values().containsKey(name.module()) || adapter.trained().getOrDefault(name.module(), Map.of())
                        .containsKey(name.tensor().substring(name.module().length() + 1)));
    }

    private static Delta delta(AdaptedView view, AdaptedView.AdaptedMatrix matrix, AdaptedView.Base base) {
        Map<String, INDArray> more = new LinkedHashMap<>();
        matrix.parts().forEach((key, value) -> more.put(key, value.dup()));
        INDArray a = more.remove(Variant.A);
        INDArray b = more.remove(Variant.B);
        return new Delta(a, b, matrix.alpha(), matrix.scaling(), base.id(), layout(view, matrix), more, kind(view, matrix),
                base.storedAs());
    }

    /** A start from data, or a randomised one, is never what others would take from W. */
    private static Kind kind(AdaptedView view, AdaptedView.AdaptedMatrix matrix) {
        Kind kind = Kind.of(matrix.settings());
        boolean fromW = kind.init().isTakenFromW() && !kind.init().needsData() && kind.pissaIterations() == 0;
        return fromW && (Starts.isRounded(matrix) || !Starts.areOfW(view, matrix)) ? kind.elsewhere() : kind;
    }

    /** How A and B lie in a file, and which way round PyTorch has W. */
    private static TensorLayout layout(AdaptedView view, AdaptedView.AdaptedMatrix matrix) {
        TensorLayout layout = TensorLayout.of(matrix.stock());
        boolean inByOut = view.torch().namesOf(matrix.layer(), matrix.parameter().key()).stream()
                .anyMatch(parameter -> !parameter.transposed());
        return inByOut && layout.equals(TensorLayout.LINEAR) ? TensorLayout.CONV1D : layout;
    }
}
