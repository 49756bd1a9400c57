package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.Kind;
import io.github.dl4jlora.variant.Variant;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * An adapter in a form from which PEFT computes the same, although PEFT has one variant and one start for all layers.
 *
 * @param adapter the adapter as it is where all layers are of one kind. Where only some layers started from a part of W, or
 *                from different parts, or from one that PEFT would draw anew, take from W the wrong way round or from other
 *                values, these layers are plain ones of twice the rank, which compute the same
 * @param doubled how these layers started
 */
record PeftForm(AdapterContent adapter, Map<String, Kind> doubled) {

    /**
     * @throws IllegalArgumentException where PEFT has no such adapter, naming the layers
     */
    static PeftForm of(AdapterContent adapter) {
        List<String> dora = layers(adapter, delta -> delta.kind().isDora());
        if (!dora.isEmpty() && dora.size() < adapter.deltas().size()) {
            throw new IllegalArgumentException("The layers " + dora + " are DoRA, but " + layers(adapter,
                    delta -> !delta.kind().isDora()) + " are not: an adapter's file has one use_dora for all layers. Save the "
                    + "network with LoRA.save instead, or give all layers the same variant");
        }
        List<String> taken = layers(adapter, delta -> delta.kind().init().isTakenFromW());
        boolean alike = KindNames.inits(adapter).size() == 1;
        boolean drawn = alike && adapter.deltas().values().stream().anyMatch(delta ->
                KindNames.isStartOfItsOwn(delta.kind()) && delta.has(Variant.START_A) && !delta.kind().isDora());
        refuseGradients(adapter, dora);
        List<String> reversed = layers(adapter, PeftForm::isReversed);
        if (!dora.isEmpty() && !reversed.isEmpty()) {
            throw new IllegalArgumentException("The layers " + reversed + " are DoRA that started with LoRAInit.OLORA, and "
                    + "PyTorch stores their W as [nIn, nOut]: PEFT would decompose W the wrong way round. Save the network with "
                    + "LoRA.save instead, or choose another start");
        }
        if (taken.isEmpty() || alike && !drawn && reversed.isEmpty()) {
            return new PeftForm(adapter, Map.of());
        }
        if (!dora.isEmpty()) {
            throw new IllegalArgumentException("The layers " + taken + " are DoRA that started from a part of W, but not all "
                    + "layers started that way: an adapter's file has one init_lora_weights for all layers. Save the network "
                    + "with LoRA.save instead, or give all layers the same start");
        }
        Map<String, Delta> plain = new LinkedHashMap<>();
        Map<String, Kind> doubled = new LinkedHashMap<>();
        adapter.deltas().forEach((layer, delta) -> {
            plain.put(layer, delta.plain(layer, "writing such an adapter to a file"));
            if (delta.kind().init().isTakenFromW()) {
                doubled.put(layer, delta.kind());
            }
        });
        return new PeftForm(adapter.with(plain), doubled);
    }

    /** For OLoRA PEFT decomposes W as PyTorch has it, which here is turned round. */
    private static boolean isReversed(Delta delta) {
        return delta.kind().init() == LoRAInit.OLORA && delta.layout().inByOut();
    }

    private static void refuseGradients(AdapterContent adapter, List<String> dora) {
        if (!dora.isEmpty() && adapter.deltas().values().stream().anyMatch(delta -> delta.kind().init() == LoRAInit.LORA_GA)) {
            throw new IllegalArgumentException("The layers " + dora + " are DoRA that started with LoRAInit.LORA_GA: an "
                    + "adapter's file cannot hold a start that cannot be computed again, and DoRA has no plain form that "
                    + "includes the start. Save the network with LoRA.save instead, or choose another start");
        }
    }

    private static List<String> layers(AdapterContent adapter, Predicate<Delta> which) {
        return adapter.deltas().entrySet().stream().filter(entry -> which.test(entry.getValue())).map(Map.Entry::getKey).toList();
    }
}
