package io.github.dl4jlora.internal.peft;

/** What has a content that this library's own packages may see, and its users may not. */
public abstract class ContentHolder {

    final AdapterContent content;

    /** @param content which is not copied */
    protected ContentHolder(AdapterContent content) {
        this.content = content;
    }
}
